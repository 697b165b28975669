// A relying party on go-oidc and x/oauth2, as their documentation writes one: it sends a nonce, and a PKCE challenge
// only if PKCE is set. /login begins; /callback shows what the ID token and the UserInfo endpoint say.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func main() {
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, os.Getenv("ISSUER"))
	if err != nil {
		log.Fatal(err)
	}
	config := oauth2.Config{
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		Endpoint:     provider.Endpoint(),
		RedirectURL:  os.Getenv("REDIRECT_URI"),
		Scopes:       []string{oidc.ScopeOpenID, "profile", "email"},
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: config.ClientID})

	http.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		state, nonce, proof := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
		for name, value := range map[string]string{"state": state, "nonce": nonce, "proof": proof} {
			http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/callback", HttpOnly: true})
		}
		options := []oauth2.AuthCodeOption{oidc.Nonce(nonce)}
		if os.Getenv("PKCE") != "" {
			options = append(options, oauth2.S256ChallengeOption(proof))
		}
		http.Redirect(w, r, config.AuthCodeURL(state, options...), http.StatusFound)
	})
	http.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		said, err := answer(ctx, r, provider, verifier, &config)
		if err != "" {
			http.Error(w, err, http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(said)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// answer redeems the code, and returns the claims of the ID token and of UserInfo, or what is wrong.
func answer(
	ctx context.Context, r *http.Request, provider *oidc.Provider, verifier *oidc.IDTokenVerifier, config *oauth2.Config,
) (map[string]map[string]any, string) {
	query := r.URL.Query()
	if query.Get("state") != remembered(r, "state") {
		return nil, "another state"
	}
	if problem := query.Get("error"); problem != "" {
		return nil, problem + ": " + query.Get("error_description")
	}
	options := []oauth2.AuthCodeOption{}
	if os.Getenv("PKCE") != "" {
		options = append(options, oauth2.VerifierOption(remembered(r, "proof")))
	}
	token, err := config.Exchange(ctx, query.Get("code"), options...)
	if err != nil {
		return nil, err.Error()
	}
	raw, _ := token.Extra("id_token").(string)
	person, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, err.Error()
	}
	if person.Nonce != remembered(r, "nonce") {
		return nil, "another nonce"
	}
	profile, err := provider.UserInfo(ctx, config.TokenSource(ctx, token))
	if err != nil {
		return nil, err.Error()
	}
	said := map[string]map[string]any{"id_token": {}, "userinfo": {}}
	inToken, inProfile := said["id_token"], said["userinfo"]
	if person.Claims(&inToken) != nil || profile.Claims(&inProfile) != nil {
		return nil, "claims that are no object"
	}
	return said, ""
}

// remembered is what a cookie holds, and never what an answer could match by having nothing.
func remembered(r *http.Request, name string) string {
	if cookie, err := r.Cookie(name); err == nil && cookie.Value != "" {
		return cookie.Value
	}
	return rand.Text()
}
