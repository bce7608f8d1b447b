package cli

import (
	"io"
	"os"
	"sync"
)

// A typed is what somebody types at a terminal, for one form after the other. The
// terminal has one reader, because a read cannot be taken back: bubbletea v2.0.2
// makes one for each form, which can outlive the form and swallow the first key
// of the next one.
type typed struct {
	tty   *os.File
	once  sync.Once
	read  chan []byte // what each read returned
	ended error       // of the last read; set before read is closed
}

// listen returns what is typed from now on, until its over is closed. It starts
// the reader, which ends with the terminal or the process.
func (t *typed) listen() *keys {
	t.once.Do(func() {
		t.read = make(chan []byte)
		go func() {
			defer close(t.read)
			for {
				p := make([]byte, pairMax)
				n, err := t.tty.Read(p)
				if n > 0 {
					t.read <- p[:n]
				}
				if err != nil {
					t.ended = err
					return
				}
			}
		}()
	})
	return &keys{typed: t, over: make(chan struct{})}
}

// keys are what is typed into one form. They have no name, by which bubbletea
// would know a file that it may read by itself.
type keys struct {
	typed *typed
	over  chan struct{} // closed when the form is over
	rest  []byte        // of what was read
}

// Read implements [io.Reader]. It is for one goroutine, and returns [io.EOF] once
// the form is over.
func (k *keys) Read(p []byte) (int, error) {
	if len(k.rest) == 0 {
		select {
		case <-k.over:
			return 0, io.EOF
		default:
		}
		select {
		case <-k.over:
			return 0, io.EOF
		case next, ok := <-k.typed.read:
			if !ok {
				return 0, k.typed.ended
			}
			k.rest = next
		}
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}

// Fd has bubbletea know the terminal, and turn its echo off.
func (k *keys) Fd() uintptr { return k.typed.tty.Fd() }

// Write implements [io.Writer].
func (k *keys) Write(p []byte) (int, error) { return k.typed.tty.Write(p) }

// Close implements [io.Closer]. The terminal is needed for the next form.
func (*keys) Close() error { return nil }
