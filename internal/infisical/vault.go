package infisical

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/go-resty/resty/v2"
	api "github.com/infisical/go-sdk/packages/api/secrets"
	"github.com/infisical/go-sdk/packages/models"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

// masked stands in the place of a value that the identity may not see
// (Infisical's source: INFISICAL_SECRET_VALUE_HIDDEN_MASK). The SDK does not
// pass on the field that says so.
const masked = "<hidden-by-infisical>"

// A Vault is the place of one pair in Infisical. After [Vault.Ready] a Read and
// a Write are one HTTP call each, as long as the token lasts.
type Vault struct {
	client *Client
	place  Place

	mu   sync.Mutex
	seen rotation.Version // by the last Read
}

var _ rotation.Vault = (*Vault)(nil)

// Ready implements [rotation.Vault] (R16). It logs in, reads both names with
// their versions, and sends a batch update of one random name that does not
// exist, which changes nothing. That a write will be let through is never
// proven by this: a current server looks for the name before it looks at the
// right to edit.
func (v *Vault) Ready(ctx context.Context) rotation.Readiness {
	const op = "infisical.Ready"
	if err := v.client.checked(op, v.place); err != nil {
		return failed(err)
	}
	if _, err := v.client.session(ctx, 0, true); err != nil {
		return failed(err)
	}
	stored, err := v.Read(ctx)
	if err != nil {
		return failed(err)
	}
	ready := rotation.Readiness{Facts: []rotation.Fact{
		{Name: "version_key_id", Label: "Version of " + v.place.Names.KeyID, Value: versionText(stored.Version.KeyID)},
		{Name: "version_secret", Label: "Version of " + v.place.Names.Secret, Value: versionText(stored.Version.Secret)},
	}}
	if err := v.tryWrite(ctx, op); err != nil {
		f := failed(err)
		f.Facts = ready.Facts
		return f
	}
	if err := v.bothThere(op, stored.Version); err != nil {
		f := failed(err)
		f.Facts = ready.Facts
		return f
	}
	ready.Level = rotation.Unproven
	ready.Detail = "logged in, both names read; whether they may be written is proven only by writing them"
	if v.client.noV4.Load() {
		ready.Detail += "; this server is an old one without API v4, so API v3 is used"
	}
	return ready
}

// tryWrite sends an update that finds nothing to change. It also finds out
// which batch route the server has, and opens the connection that Write uses.
func (v *Vault) tryWrite(ctx context.Context, op string) error {
	v.client.noV4.Store(false) // the server may have been upgraded
	_, err := v.client.update(ctx, op, v.place, failOnNotFound, []entry{{Key: "KEYTURN_CHECK_" + rand.Text(), Value: "unused"}})
	if fault.ReasonOf(err) == reasonNamesAbsent {
		return nil
	}
	return err
}

func (v *Vault) bothThere(op string, have rotation.Version) error {
	if have.KeyID > 0 && have.Secret > 0 {
		return nil
	}
	var absent []string
	if have.KeyID == 0 {
		absent = append(absent, v.place.Names.KeyID)
	}
	if have.Secret == 0 {
		absent = append(absent, v.place.Names.Secret)
	}
	return &fault.Error{
		Kind: fault.NotFound, Reason: reasonNamesAbsent, Op: op,
		User: "Infisical does not hold " + strings.Join(absent, " and ") + " (" + v.place.String() + ").",
		Fix:  "If this key set was never stored there, go on without; otherwise check environment, path and names in bot.yml.",
	}
}

// Read implements [rotation.Vault]. It makes one list call, which is one query
// of the server, so the two values belong together. Only if the folder shows
// neither name a second call asks for one of them: a list hides a wrong
// environment or folder behind an empty answer (05-not-found.json). References
// in values are not expanded, and values of imported folders are not taken.
func (v *Vault) Read(ctx context.Context) (rotation.Stored, error) {
	const op = "infisical.Read"
	if err := v.client.checked(op, v.place); err != nil {
		return rotation.Stored{}, err
	}
	secrets, err := read(ctx, v.client, op, v.place.String(), func(c *resty.Client) ([]models.Secret, error) {
		got, err := api.CallListSecretsV3(nil, c, api.ListSecretsV3RawRequest{
			ProjectID: v.place.ProjectID, Environment: v.place.Environment, SecretPath: v.place.Path,
		})
		return got.Secrets, err
	})
	if err != nil {
		return rotation.Stored{}, err
	}
	var stored rotation.Stored
	if stored.Pair.KeyID, stored.Version.KeyID, err = v.pick(op, secrets, v.place.Names.KeyID); err != nil {
		return rotation.Stored{}, err
	}
	if stored.Pair.Secret, stored.Version.Secret, err = v.pick(op, secrets, v.place.Names.Secret); err != nil {
		return rotation.Stored{}, err
	}
	if stored.Version == (rotation.Version{}) {
		if err := v.confirmAbsent(ctx, op); err != nil {
			return rotation.Stored{}, err
		}
	}
	v.mu.Lock()
	v.seen = stored.Version
	v.mu.Unlock()
	return stored, nil
}

// pick returns the value and version of name, or version 0 if it is absent.
func (v *Vault) pick(op string, secrets []models.Secret, name string) (secret.Text, int, error) {
	for _, s := range secrets {
		switch {
		case s.SecretKey != name, s.Type != "shared" && s.Type != "":
		case s.Environment != v.place.Environment, s.SecretPath != v.place.Path && s.SecretPath != "": // an import
		case s.SecretValue == masked:
			return secret.Text{}, 0, &fault.Error{
				Kind: fault.Denied, Reason: "value_hidden", Op: op,
				User: "The bot's machine identity sees that " + name + " is in Infisical, but not its value (" + v.place.String() + ").",
				Fix:  "Give the machine identity the right to read secret values there, then press Retry.",
			}
		case s.Version < 1:
			return secret.Text{}, 0, badAnswer(op, fault.Transient, nil)
		default:
			return secret.New(s.SecretValue), s.Version, nil
		}
	}
	return secret.Text{}, 0, nil
}

// confirmAbsent returns nil if the folder is there and the key ID's name is not.
func (v *Vault) confirmAbsent(ctx context.Context, op string) error {
	got, err := read(ctx, v.client, op, v.place.String(), func(c *resty.Client) (models.Secret, error) {
		got, err := api.CallRetrieveSecretV3(nil, c, api.RetrieveSecretV3RawRequest{
			ProjectID: v.place.ProjectID, Environment: v.place.Environment, SecretPath: v.place.Path, SecretKey: v.place.Names.KeyID,
		})
		return got.Secret, err
	})
	switch {
	case err == nil && got.SecretKey == v.place.Names.KeyID: // created between the two calls
		return &fault.Error{
			Kind: fault.Transient, Reason: "changed_meanwhile", Op: op,
			User: "Somebody changed the pair in Infisical while the bot was reading it.", Fix: "Press Retry.",
		}
	case err == nil: // what the SDK makes of a web page or a redirect
		return badAnswer(op, fault.Transient, nil)
	case fault.ReasonOf(err) == reasonNamesAbsent:
		return nil
	}
	return err
}

// Write implements [rotation.Vault] (R40, R41, R42x): both values in one
// all-or-nothing call. The answer counts only if it names both with versions
// above those last read; the caller still reads back. A fault of kind Unknown
// means that the pair may be stored. Repeating is harmless: the same values
// become a new version.
func (v *Vault) Write(ctx context.Context, p rotation.Pair, createAbsent bool) error {
	const op = "infisical.Write"
	if err := v.client.checked(op, v.place); err != nil {
		return err
	}
	if err := storable(op, p); err != nil {
		return err
	}
	entries := []entry{
		{Key: v.place.Names.KeyID, Value: p.KeyID.Reveal()},
		{Key: v.place.Names.Secret, Value: p.Secret.Reveal()},
	}
	m := failOnNotFound
	if createAbsent {
		m = upsert
	}
	got, err := v.client.update(ctx, op, v.place, m, entries)
	if createAbsent && v.client.noV4.Load() && fault.ReasonOf(err) == reasonNamesAbsent {
		got, err = v.createBoth(ctx, op, entries)
	}
	if err != nil {
		return err
	}
	return v.proveWritten(op, got)
}

// storable refuses what the server would change on the way in: it trims values
// (03-secrets-crud.json), and a read-back would never be equal.
func storable(op string, p rotation.Pair) error {
	for _, t := range []secret.Text{p.KeyID, p.Secret} {
		if s := t.Reveal(); s == "" || s != strings.TrimSpace(s) {
			return &fault.Error{
				Kind: fault.Invalid, Reason: "bad_pair", Op: op,
				User: "The pair is incomplete, or has space or a line break around it, which Infisical would cut off.",
				Fix:  "Paste the pair again.",
			}
		}
	}
	return nil
}

// createBoth is for a server that has no mode upsert. It cannot create one name
// and change the other in one call, so it does not try.
func (v *Vault) createBoth(ctx context.Context, op string, entries []entry) (outcome, error) {
	have, err := v.Read(ctx)
	if err != nil {
		return outcome{}, err
	}
	if have.Version == (rotation.Version{}) {
		return v.client.create(ctx, op, v.place, entries)
	}
	return outcome{}, &fault.Error{
		Kind: fault.Conflict, Reason: "half_stored", Op: op,
		User: "Infisical holds only one of the two names, and this old server cannot create one and change the other in one step.",
		Fix:  "Create the other name there with any value (" + v.place.String() + "), then press Retry.",
	}
}

// proveWritten compares the versions in the answer with those last read.
func (v *Vault) proveWritten(op string, got outcome) error {
	v.mu.Lock()
	before := v.seen
	v.mu.Unlock()
	now := rotation.Version{KeyID: got.version(v.place.Names.KeyID), Secret: got.version(v.place.Names.Secret)}
	if now.KeyID > before.KeyID && now.Secret > before.Secret {
		return nil
	}
	return &fault.Error{
		Kind: fault.Unknown, Reason: "not_confirmed", Op: op,
		User: "Infisical said yes, but its answer does not show a new version of both names.",
		Fix:  "Press Retry; the bot reads both before it writes again.",
		Err:  fmt.Errorf("versions %d and %d after %d and %d", now.KeyID, now.Secret, before.KeyID, before.Secret),
	}
}

func versionText(n int) string {
	if n == 0 {
		return "absent"
	}
	return strconv.Itoa(n)
}

func failed(err error) rotation.Readiness {
	return rotation.Readiness{Level: rotation.NotReady, Problem: rotation.Problem{
		Kind: fault.KindOf(err).String(), Reason: fault.ReasonOf(err), Text: fault.UserText(err), Fix: fault.FixText(err),
	}}
}
