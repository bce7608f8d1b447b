package secret_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/raxx-app/keyturn/internal/secret"
)

// panicEnv makes the test binary panic in a way that its value names.
const panicEnv = "SECRET_TEST_PANIC"

// panics are the ways in which a value can be in a goroutine that ends the
// process.
var panics = map[string]func(secret.Text){
	"the value itself":   func(x secret.Text) { panic(x) },
	"a pointer to it":    func(x secret.Text) { panic(&x) },
	"an error with it":   func(x secret.Text) { panic(fmt.Errorf("value %v: %w", x, errors.New(fmt.Sprint(x)))) },
	"a struct":           func(x secret.Text) { panic(struct{ Key, Secret secret.Text }{x, x}) },
	"an argument":        func(x secret.Text) { deep(x, 3) },
	"printed by println": func(x secret.Text) { println(&x); panic("after it") },
}

//go:noinline
func deep(x secret.Text, n int) int {
	if n == 0 {
		panic("deep down")
	}
	return deep(x, n-1) + x.Len()
}

// R43: a panic, whatever is in it, prints no value; nor does the traceback of
// every goroutine.
func TestPanicShowsNoValue(t *testing.T) {
	if name := os.Getenv(panicEnv); name != "" {
		panics[name](secret.New(canary))
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name := range panics {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestPanicShowsNoValue$")
		cmd.Env = append(os.Environ(), panicEnv+"="+name, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		if _, ok := errors.AsType[*exec.ExitError](err); !ok || !bytes.Contains(out, []byte("goroutine ")) {
			t.Errorf("%s: %v, want a process that ended with a traceback:\n%s", name, err, out)
		}
		for _, part := range []string{canary, canary[:12], canary[len(canary)-12:], fmt.Sprintf("%x", canary)[:24]} {
			if bytes.Contains(out, []byte(part)) {
				t.Errorf("%s: the value is in\n%s", name, out)
			}
		}
	}
}
