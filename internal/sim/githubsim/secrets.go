package githubsim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/nacl/box"
)

// maxValue is the size limit of one secret, in bytes.
const maxValue = 48 * 1024

// base64Text is the pattern of encrypted_value in
// openapi.actions-secrets.subset.json, and the one that the real service
// quotes when it refuses a value.
const base64Text = `^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$`

var (
	isBase64 = regexp.MustCompile(base64Text)
	isName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// A shown is what the service shows of a secret: never its value.
type shown struct {
	Name    string `json:"name"`
	Created string `json:"created_at"`
	Updated string `json:"updated_at"`
}

// secrets serves one store; rest is what follows ".../secrets".
func (c *call) secrets(r *repo, name string, rest []string) {
	st := r.stores[name]
	if st == nil || len(rest) > 1 {
		c.notFound(docsStore)
		return
	}
	write := c.r.Method == http.MethodPut || c.r.Method == http.MethodDelete
	permission, _ := c.token.permission(name)
	level := Read
	if write {
		level = Write
	}
	c.w.Header().Set("X-Accepted-GitHub-Permissions", permission+"="+string(level))
	if status, message := c.token.refuse(r, name, write); status != 0 {
		c.fail(status, message, docsStore)
		return
	}
	switch {
	case len(rest) == 0 && c.r.Method == http.MethodGet:
		c.list(st)
	case len(rest) == 1 && rest[0] == "public-key" && c.r.Method == http.MethodGet:
		c.json(http.StatusOK, map[string]string{
			"key_id": KeyID,
			"key":    base64.StdEncoding.EncodeToString(st.public[:]),
		})
	case len(rest) == 1 && c.r.Method == http.MethodGet:
		c.get(st, rest[0])
	case len(rest) == 1 && c.r.Method == http.MethodPut:
		c.put(st, rest[0])
	case len(rest) == 1 && c.r.Method == http.MethodDelete:
		c.delete(st, rest[0])
	default:
		c.notFound(docsStore)
	}
}

func (c *call) list(st *store) {
	all := make([]shown, 0, len(st.secrets))
	for name, e := range st.secrets {
		all = append(all, show(name, e))
	}
	slices.SortFunc(all, func(a, b shown) int { return strings.Compare(a.Name, b.Name) })
	from, to := c.page(len(all))
	c.json(http.StatusOK, map[string]any{"total_count": len(all), "secrets": all[from:to]})
}

// page returns which entries of a list of n the call asks for.
func (c *call) page(n int) (from, to int) {
	perPage, page := 30, 1
	if n, err := strconv.Atoi(c.r.URL.Query().Get("per_page")); err == nil && n > 0 {
		perPage = min(n, 100)
	}
	if n, err := strconv.Atoi(c.r.URL.Query().Get("page")); err == nil && n > 0 {
		page = n
	}
	from = min((page-1)*perPage, n)
	return from, min(from+perPage, n)
}

func (c *call) get(st *store, name string) {
	e := st.secrets[strings.ToUpper(name)]
	if e == nil {
		c.notFound(docsStore + "#get-a-repository-secret")
		return
	}
	c.json(http.StatusOK, show(strings.ToUpper(name), e))
}

// put opens the box with the store's own key: a box sealed to another key is
// refused with the body of terraform-provider-github#2315. What the service
// answers for an unknown key_id is not recorded; it is the same here.
func (c *call) put(st *store, name string) {
	if !isName.MatchString(name) || strings.HasPrefix(strings.ToUpper(name), "GITHUB_") {
		// Wording not recorded; the rule is that of GitHub's secrets reference.
		c.invalid("Secret names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). " +
			"Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).")
		return
	}
	var in map[string]any
	if err := json.Unmarshal(c.body, &in); err != nil {
		c.fail(http.StatusBadRequest, "Problems parsing JSON", docsPut)
		return
	}
	for _, field := range []string{"encrypted_value", "key_id"} {
		if _, ok := in[field]; !ok {
			c.invalid("Invalid request.\n\n\"" + field + "\" wasn't supplied.")
			return
		}
	}
	sealed, okValue := in["encrypted_value"].(string)
	keyID, okKey := in["key_id"].(string)
	switch {
	case !okValue || !okKey:
		c.invalid("Invalid request.\n\nFor 'properties/key_id', a string is needed.") // wording not recorded
		return
	case !isBase64.MatchString(sealed):
		c.invalid(echo(sealed))
		return
	}
	box32, err := base64.StdEncoding.DecodeString(sealed)
	value, ok := box.OpenAnonymous(nil, box32, st.public, st.private)
	if err != nil || !ok || keyID != KeyID {
		c.invalid("Bad request - validation failed due to an improperly encrypted secret")
		return
	}
	if len(value) > maxValue {
		c.invalid("Secret value is too large.") // wording not recorded
		return
	}
	if st.put(name, string(value), c.at.Add(c.s.offset)) {
		c.json(http.StatusCreated, struct{}{})
		return
	}
	c.w.WriteHeader(http.StatusNoContent)
}

func (c *call) delete(st *store, name string) {
	if st.secrets[strings.ToUpper(name)] == nil {
		c.notFound(docsStore + "#delete-a-repository-secret")
		return
	}
	delete(st.secrets, strings.ToUpper(name))
	c.w.WriteHeader(http.StatusNoContent)
}

// invalid refuses a write of a secret.
func (c *call) invalid(message string) {
	c.fail(http.StatusUnprocessableEntity, message, docsPut)
}

// echo is the message with which the service repeats what it was sent.
func echo(sent string) string {
	return "Invalid request.\n\n" + sent + " does not match /" + strings.ReplaceAll(base64Text, "/", `\/`) + "/."
}

func show(name string, e *entry) shown {
	return shown{Name: name, Created: e.created.Format(time.RFC3339), Updated: e.updated.Format(time.RFC3339)}
}
