"""How sure an application wants to be of who somebody is (``acr``), and when a person is asked for more."""

from __future__ import annotations

from database.transaction import Transaction
from provider.accounts.users import User
from provider.authorization.asked import AskedFor
from provider.protocol.errors import OAuthError
from provider.sign_in.assurance import TWO_FACTOR, reaches
from provider.sign_in.proofs import reachable_levels
from provider.sign_in.sessions import Session


def wanted_levels(asked: AskedFor) -> tuple[str, ...]:
    """Any of these will do, the one liked best first: what is essential, else the wish, else what the client registered."""
    parameters = asked.parameters
    return parameters.claims.acr or parameters.acr_values or asked.client.details.default_acr_values


def needs_step_up(tx: Transaction, asked: AskedFor, session: Session, user: User) -> bool:
    """Whether the best of the levels that the request wants and this person can reach is not reached by this session.

    ``acr_values`` is a wish (OpenID Connect Core §3.1.2.1): what can't be had is no reason to refuse, and with
    ``prompt=none`` nobody is asked for it. One level of what is essential (§5.5.1.1) has to be reached: raises
    ``unmet_authentication_requirements`` where the person can reach none. Whoever has given a second factor since the
    request arrived is asked for no better one, so that nobody is asked for ever.
    """
    wanted, is_essential = wanted_levels(asked), bool(asked.parameters.claims.acr)
    if not wanted:
        return False
    reached = [level for level in wanted if reaches(session.acr, level)]
    within_reach = reachable_levels(tx, user)
    best = next((level for level in wanted if level in reached or level in within_reach), None)
    if best in reached:
        return False
    is_done = session.authenticated_at > asked.asked_at and reaches(session.acr, TWO_FACTOR)
    if best is not None and not is_done:
        return "none" not in asked.parameters.prompt or (is_essential and not reached)
    if is_essential and not reached:
        raise OAuthError("unmet_authentication_requirements", "The user did not sign in in the way that is asked for.")
    return False
