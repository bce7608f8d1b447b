package control

import (
	"os/user"
	"testing"
)

// TestLoginUID: the kernel's word, and nothing else, says who is there.
func TestLoginUID(t *testing.T) {
	for in, want := range map[string]string{"0": "0", "1000\n": "1000", unset: "", "": "", "-1": "", "99999999999": "", "root": ""} {
		if got := loginUID([]byte(in)); got != want {
			t.Errorf("loginUID(%q) = %q, want %q", in, got, want)
		}
	}
	if got := userName("4000000001"); got != "uid-4000000001" {
		t.Errorf("name of a user that nobody knows = %q", got)
	}
}

// TestNoEnvironment: SUDO_USER and its like are not believed.
func TestNoEnvironment(t *testing.T) {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		t.Setenv(name, "eve")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if got := Login(); got == "eve" || got == "" || got != me.Username && loginOf(0, 0) == got {
		t.Errorf("Login = %q, want what the kernel says", got)
	}
}
