package rotation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/secret"
)

var (
	names   = rotation.Names{KeyID: "ALPACA_PAPER_API_KEY_ID", Secret: "ALPACA_PAPER_API_SECRET_KEY"}
	goodID  = "PK" + strings.Repeat("A", 20) + "WXYZ"
	goodKey = strings.Repeat("b7", 22)
)

// R31, R34: what copying adds is cut off, and KEY=value lines are understood,
// in either field.
func TestReadPaste(t *testing.T) {
	tests := []struct{ name, id, key string }{
		{"plain", goodID, goodKey},
		{"spaces and newlines", "  " + goodID + "\n", "\t" + goodKey + " \r\n"},
		{"quotes", `"` + goodID + `"`, "'" + goodKey + "'"},
		{"curly quotes and no-break space", "“" + goodID + "”", "\u00a0" + goodKey + "\u200b"},
		{"assignments in their fields", names.KeyID + "=" + goodID, names.Secret + "=" + goodKey},
		{"both lines in the first field", "export " + names.KeyID + "=\"" + goodID + "\"\n" + names.Secret + "=" + goodKey, ""},
		{"both lines in the second field", "", names.KeyID + "=" + goodID + "\n" + names.Secret + "='" + goodKey + "'"},
		{"names of the vendor's SDK", "APCA_API_KEY_ID=" + goodID, "APCA_API_SECRET_KEY=" + goodKey},
	}
	for _, tt := range tests {
		got := rotation.ReadPaste(names, secret.New(tt.id), secret.New(tt.key))
		if got.KeyID.Reveal() != goodID || got.Secret.Reveal() != goodKey {
			t.Errorf("%s: read %q and %q", tt.name, got.KeyID.Reveal(), got.Secret.Reveal())
		}
	}
}

// R32, R75, R77 and the row "the current key was pasted": an error under the
// field that is wrong, with the reason and what to do, before any call.
func TestPasteProblems(t *testing.T) {
	old := rotation.Pair{KeyID: secret.New("PK" + strings.Repeat("O", 20) + "LDLD"), Secret: secret.New(strings.Repeat("o1", 22))}
	tests := []struct {
		name, id, key string
		want          map[string]string // field → part of its text
	}{
		{name: "good", id: goodID, key: goodKey},
		{name: "old format", id: "PK" + strings.Repeat("A", 18), key: strings.Repeat("b", 40)},
		{name: "slash and plus in the secret", id: goodID, key: "ab/+" + strings.Repeat("c", 40)},
		{name: "nothing", want: map[string]string{"key_id": "missing", "secret": "missing"}},
		{name: "no secret", id: goodID, want: map[string]string{"secret": "shown only once"}},
		{name: "swapped", id: goodKey, key: goodID, want: map[string]string{"key_id": "swapped", "secret": "swapped"}},
		{name: "both the same", id: goodID, key: goodID, want: map[string]string{"secret": "same value"}},
		{name: "same as the current pair", id: old.KeyID.Reveal(), key: old.Secret.Reveal(), want: map[string]string{"key_id": "View shows it, it does not rotate"}},
		{name: "current key ID, other secret", id: old.KeyID.Reveal(), key: goodKey, want: map[string]string{"key_id": "View shows it"}},
		{name: "current secret, other key ID", id: goodID, key: old.Secret.Reveal(), want: map[string]string{"secret": "in use now"}},
		{name: "live", id: "AK" + strings.Repeat("A", 18), key: goodKey, want: map[string]string{"key_id": "LIVE"}},
		{name: "broker", id: "CK" + strings.Repeat("A", 18), key: goodKey, want: map[string]string{"key_id": "Broker"}},
		{name: "space inside", id: "PKAA AAAA", key: goodKey, want: map[string]string{"key_id": "no key has"}},
		{name: "right-to-left mark inside", id: goodID, key: "ab\u202ecd", want: map[string]string{"secret": "no key has"}},
		{name: "a URL", id: "https://app.alpaca.markets", key: goodKey, want: map[string]string{"key_id": "no key has"}},
	}
	for _, tt := range tests {
		got, warning := rotation.CheckPaste(rotation.Pair{KeyID: secret.New(tt.id), Secret: secret.New(tt.key)}, old)
		if len(got) != len(tt.want) {
			t.Errorf("%s: problems %v, want %v", tt.name, got, tt.want)
		}
		for field, part := range tt.want {
			if !strings.Contains(got[field], part) {
				t.Errorf("%s: %s says %q, want %q in it", tt.name, field, got[field], part)
			}
		}
		if len(tt.want) == 0 && warning != "" {
			t.Errorf("%s: warning %q, want none", tt.name, warning)
		}
	}
}

// An unusual length only warns: no length is promised.
func TestUnusualLengthWarns(t *testing.T) {
	got, warning := rotation.CheckPaste(rotation.Pair{KeyID: secret.New("PKSHORT"), Secret: secret.New("short")}, rotation.Pair{})
	if diff := cmp.Diff(map[string]string(nil), got); diff != "" || !strings.Contains(warning, "7 characters") || !strings.Contains(warning, "5 characters") {
		t.Errorf("problems %v, warning %q, want a warning of both lengths only", got, warning)
	}
}

func FuzzReadPaste(f *testing.F) {
	f.Add(goodID, goodKey)
	f.Add("A_B=\"x", "\u202e'`=\n=")
	f.Fuzz(func(t *testing.T, id, key string) {
		p := rotation.ReadPaste(names, secret.New(id), secret.New(key))
		again := rotation.ReadPaste(names, p.KeyID, p.Secret)
		if problems, _ := rotation.CheckPaste(p, rotation.Pair{}); problems == nil && !again.Equal(p) {
			t.Errorf("a good pair changes when it is read twice")
		}
	})
}
