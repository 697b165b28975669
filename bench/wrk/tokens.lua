-- What an answer of a token endpoint has to be: ACCESS_ALG (empty: an opaque access token) with ACCESS_CLAIMS, and with
-- ID_ALG an ID token by it.
local access_alg, id_alg = os.getenv("ACCESS_ALG") or "", os.getenv("ID_ALG") or ""
local access_claims = words(os.getenv("ACCESS_CLAIMS"))
local ID_CLAIMS = { "iss", "sub", "aud", "exp", "iat" }
local last = ""

function fault_of_tokens(status, body)
  if status ~= 200 then return "refused" end
  local access = text_of(body, "access_token")
  if not access then return "no access token" end
  if access == last then return "the same token as before" end
  last = access
  local fault
  if access_alg ~= "" then fault = fault_of_jwt(access, access_alg, access_claims)
  elseif #access < 20 then fault = "a short access token" end
  if not fault and id_alg ~= "" then fault = fault_of_jwt(text_of(body, "id_token") or "", id_alg, ID_CLAIMS) end
  return fault
end
