package state

import (
	"fmt"
	"testing"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/sim/simtest"
)

// FuzzParseAnchor reads what somebody copied from a message. Whatever comes: an
// anchor is a row that can be and enough digits of a hash, it reads the same
// again, and an error quotes nothing.
func FuzzParseAnchor(f *testing.F) {
	for _, s := range []string{
		"21:4fe52b780123", " 1:ABCDEF012345\n", "18446744073709551615:" + genesis, "0:" + genesis, "1:4fe52b7801", "1:" + genesis + "0", "-1:4fe52b780123", "1:4fe52b78…", "+1:4fe52b780123",
		"", ":", "1", "SEQ:HASH", "xK9dLm2Qw7ZpR4tYv8Bn3Hc6Jf1Gs5Aa0Ee9Uu2:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAnchor(s)
		if err != nil {
			if a != (Anchor{}) || fault.ReasonOf(err) != "bad_anchor" || fault.FixText(err) == "" {
				t.Errorf("ParseAnchor(%q) = %+v, %#v", s, a, err)
			}
			if got := simtest.Quoted([]byte(s), err.Error(), fault.UserText(err), fault.FixText(err)); got != "" {
				t.Errorf("the error quotes %q: %v", got, err)
			}
			return
		}
		if a.Seq == 0 || len(a.Hash) < anchorDigits || len(a.Hash) > len(genesis) {
			t.Errorf("ParseAnchor(%q) = %+v", s, a)
		}
		if again, err := ParseAnchor(fmt.Sprintf("%d:%s", a.Seq, a.Hash)); err != nil || again != a {
			t.Errorf("ParseAnchor(%q) = %+v, and again %+v, %v", s, a, again, err)
		}
	})
}
