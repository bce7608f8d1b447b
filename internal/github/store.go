package github

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	gogithub "github.com/google/go-github/v92/github"
	"golang.org/x/crypto/nacl/box"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/secret"
)

// The places in a repository that keep secrets. Each has a public key of its
// own, even where the key_id is the same (recorded-real-exchanges.json).
const (
	actionsStore     = "actions"
	dependabotStore  = "dependabot"
	environmentStore = "environment"
)

// A store is one of a repository's places for secrets.
type store struct {
	client      *Client
	kind        string
	owner, name string
	environment string // of environmentStore
}

// path names the store in receipts: it changes when bot.yml points elsewhere.
func (s store) path() string {
	p := s.owner + "/" + s.name + " " + s.kind
	if s.environment != "" {
		p += " " + s.environment
	}
	return p
}

// label names the store for people.
func (s store) label() string {
	switch s.kind {
	case dependabotStore:
		return "Dependabot secrets"
	case environmentStore:
		return "environment " + s.environment
	}
	return "Actions secrets"
}

// place fills in the texts of a call's errors.
func (s store) place(op, what string, writes bool) place {
	needs := "the permission Secrets: read and write"
	switch s.kind {
	case dependabotStore:
		needs = "the permission Dependabot secrets: read and write"
	case environmentStore:
		needs = "the permission Environments: read and write"
	}
	return place{op: op, repo: s.owner + "/" + s.name, what: what, needs: needs, writes: writes, env: s.kind == environmentStore}
}

// A publicKey is what values are sealed to.
type publicKey struct {
	id  string
	key [32]byte
	at  time.Time // GitHub's own time when it was read, whole seconds
}

// publicKey reads the store's public key. It is never kept: GitHub may change
// it at any time, and its ID does not tell.
func (s store) publicKey(ctx context.Context) (publicKey, error) {
	var got *gogithub.PublicKey
	p := s.place("github.PublicKey", "the public key for "+s.label(), false)
	resp, err := s.client.call(ctx, p, func(ctx context.Context) (resp *gogithub.Response, err error) {
		switch s.kind {
		case dependabotStore:
			got, resp, err = s.client.api.Dependabot.GetRepoPublicKey(ctx, s.owner, s.name)
		case environmentStore:
			got, resp, err = s.client.api.Actions.GetEnvPublicKey(ctx, s.owner, s.name, s.environment)
		default:
			got, resp, err = s.client.api.Actions.GetRepoPublicKey(ctx, s.owner, s.name)
		}
		return resp, err
	})
	if err != nil {
		return publicKey{}, err
	}
	out := publicKey{id: got.GetKeyID()}
	raw, err := base64.StdEncoding.DecodeString(got.GetKey())
	at, dateErr := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || len(raw) != len(out.key) || out.id == "" || dateErr != nil {
		return publicKey{}, badAnswer(p, resp.Response)
	}
	copy(out.key[:], raw)
	out.at = at.UTC()
	return out, nil
}

// put seals value and writes it under name. It returns GitHub's own time of
// the write, in whole seconds. Writing the same value again is harmless.
func (s store) put(ctx context.Context, key publicKey, name string, value secret.Text) (time.Time, error) {
	p := s.place("github.PutSecret", "secret "+name, true)
	sealed, err := box.SealAnonymous(nil, []byte(value.Reveal()), &key.key, rand.Reader)
	if err != nil {
		return time.Time{}, &fault.Error{Kind: fault.Internal, Reason: "seal", Op: p.op, Err: errors.New("seal the value")}
	}
	body := gogithub.SecretRequest{KeyID: key.id, EncryptedValue: base64.StdEncoding.EncodeToString(sealed)}
	resp, err := s.client.call(ctx, p, func(ctx context.Context) (*gogithub.Response, error) {
		switch s.kind {
		case dependabotStore:
			return s.client.api.Dependabot.CreateOrUpdateRepoSecret(ctx, s.owner, s.name, name, body)
		case environmentStore:
			return s.client.api.Actions.CreateOrUpdateEnvSecret(ctx, s.owner, s.name, s.environment, name, body)
		}
		return s.client.api.Actions.CreateOrUpdateRepoSecret(ctx, s.owner, s.name, name, body)
	})
	if err != nil {
		return time.Time{}, err
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusNoContent {
		return time.Time{}, badAnswer(p, resp.Response)
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		return at.UTC(), nil
	}
	return key.at, nil // never seen; the key's time is the safe, earlier bound
}

// updated returns when the secret called name was last written, in whole
// seconds; ok is false if there is none, or the token may not see it.
func (s store) updated(ctx context.Context, name string) (at time.Time, ok bool, err error) {
	var got *gogithub.Secret
	p := s.place("github.Secret", "secret "+name, false)
	resp, err := s.client.call(ctx, p, func(ctx context.Context) (resp *gogithub.Response, err error) {
		switch s.kind {
		case dependabotStore:
			got, resp, err = s.client.api.Dependabot.GetRepoSecret(ctx, s.owner, s.name, name)
		case environmentStore:
			got, resp, err = s.client.api.Actions.GetEnvSecret(ctx, s.owner, s.name, s.environment, name)
		default:
			got, resp, err = s.client.api.Actions.GetRepoSecret(ctx, s.owner, s.name, name)
		}
		return resp, err
	})
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		return time.Time{}, false, nil
	case err != nil:
		return time.Time{}, false, err
	case got == nil || got.UpdatedAt.IsZero():
		return time.Time{}, false, badAnswer(p, resp.Response)
	}
	return got.UpdatedAt.UTC(), true, nil
}
