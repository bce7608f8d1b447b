package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

// packForm is how a pack is laid out. The page is a function of the data in it,
// and verify makes it again to compare: whoever changes what the page looks like
// raises this number and keeps the old form.
const packForm = 1

// Around the data in a pack. The data has no < in it: the rows were written by
// encoding/json, which escapes it.
const (
	packBegin = `<script type="application/json" id="keyturn-pack">` + "\n"
	packEnd   = "\n</script>\n</body>\n</html>\n"
)

// A pack is the evidence of one rotation in one file: a page for people, with
// the rows for a program in it.
type pack struct {
	Form     int         `json:"keyturn_pack"`
	Rotation rotation.ID `json:"rotation"`
	KeySet   string      `json:"keyset"`
	Outcome  string      `json:"outcome"`
	Made     time.Time   `json:"made"`    // UTC, whole seconds
	Program  string      `json:"program"` // that made it

	excerpt state.Excerpt
}

// newPack says what the rows of x are evidence of.
func newPack(x state.Excerpt, now time.Time, program string) (pack, error) {
	entries, err := x.Entries()
	if err != nil {
		return pack{}, err
	}
	p := pack{Form: packForm, Rotation: x.Rotation, Made: now.UTC().Truncate(time.Second), Program: program, excerpt: x}
	p.KeySet, p.Outcome = gist(entries, x.Rotation)
	return p, nil
}

// gist returns the key set of a rotation and how it ended, by its rows.
func gist(entries []state.Entry, id rotation.ID) (keyset, outcome string) {
	outcome = "open"
	for _, e := range entries {
		if e.Row.Rotation != id {
			continue
		}
		if keyset == "" {
			keyset = e.Row.KeySet
		}
		switch action := strings.TrimPrefix(e.Row.Action, "secret.rotate."); action {
		case "completed", "cancelled", "stood_down":
			outcome = action
		}
	}
	return keyset, outcome
}

// data returns what a program reads, one row a line.
func (p pack) data() ([]byte, error) {
	head, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode pack: %w", err)
	}
	var b bytes.Buffer
	b.Write(head[:len(head)-1])
	b.WriteString(`,"rows":[` + "\n")
	b.Write(bytes.Join(p.excerpt.Lines, []byte(",\n")))
	b.WriteString("\n]}")
	if bytes.ContainsRune(b.Bytes(), '<') {
		return nil, errors.New("a row is not as this program writes it")
	}
	return b.Bytes(), nil
}

// file returns the whole pack.
func (p pack) file() ([]byte, error) {
	data, err := p.data()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := p.page(&b); err != nil {
		return nil, fmt.Errorf("make page: %w", err)
	}
	b.WriteString(packBegin)
	b.Write(data)
	b.WriteString(packEnd)
	return b.Bytes(), nil
}

// isPack reports whether a file could be a pack, rather than an export.
func isPack(file []byte) bool { return !bytes.HasPrefix(bytes.TrimSpace(file), []byte("{")) }

// readPack takes a pack apart. It does not look whether the rows are intact.
func readPack(file []byte) (pack, error) {
	_, data, ok := bytes.Cut(file, []byte(packBegin))
	data, _, closed := bytes.Cut(data, []byte("\n</script>"))
	if !ok || !closed {
		return pack{}, noPackError(nil)
	}
	var in struct {
		pack
		Rows []json.RawMessage `json:"rows"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return pack{}, noPackError(err)
	}
	if in.Form > packForm || in.Form < 1 {
		return pack{}, &fault.Error{
			Kind: fault.Invalid, Reason: "pack_newer", Op: "cli.readPack",
			User: fmt.Sprintf("This evidence has form %d; this program understands form %d.", in.Form, packForm), Fix: "Check it with the version of Keyturn that made it, or a newer one.",
		}
	}
	p := in.pack
	p.excerpt.Rotation = p.Rotation
	for _, row := range in.Rows {
		p.excerpt.Lines = append(p.excerpt.Lines, row)
	}
	return p, nil
}

// verifyPack checks a pack without anything else at hand: the rows, that what is
// said about them follows from them, and that the page shows them as they are.
func verifyPack(file []byte, anchor *state.Anchor) (pack, state.ExcerptReport, error) {
	p, err := readPack(file)
	if err != nil {
		return p, state.ExcerptReport{}, err
	}
	report, err := p.excerpt.Verify(anchor)
	if err != nil {
		return p, report, packError(fault.UserText(err), err)
	}
	again, err := newPack(p.excerpt, p.Made, p.Program)
	if err != nil {
		return p, report, packError(fault.UserText(err), err)
	}
	made, err := again.file()
	if err != nil || !bytes.Equal(made, file) {
		return p, report, packError("The rows in this file are intact, but the page around them does not show what they say: it was edited, or a browser saved it anew.", err)
	}
	return p, report, nil
}

func noPackError(cause error) error {
	return packError("This file is neither evidence that bot audit pack made nor an export of bot audit export, or it was damaged.", cause)
}

func packError(text string, cause error) error {
	return &fault.Error{
		Kind: fault.Invalid, Reason: "pack_broken", Op: "cli.verifyPack", Err: errors.Join(state.ErrBroken, cause),
		User: text, Fix: "Find out who had this file. With the bot's state at hand, bot audit verify checks the record itself and bot audit pack makes the evidence anew.",
	}
}

// named shows a name out of a file that anybody may have made: what is not plainly
// a name is quoted, so that it cannot say what only the program says.
func named(name string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/", r)
	}
	if name == "" || strings.ContainsFunc(name, odd) {
		return strconv.QuoteToASCII(name)
	}
	return name
}

// packLine says what was checked.
func packLine(p pack, r state.ExcerptReport) string {
	line := fmt.Sprintf("intact: rotation %s of %s, %s; rows %d to %d, %d of them about it; the last is %d:%s", named(string(p.Rotation)), named(p.KeySet), p.Outcome, r.First, r.Last, r.Own, r.Last, r.Head)
	if r.Anchored != 0 {
		return line + fmt.Sprintf("; the anchor at row %d agrees", r.Anchored)
	}
	return line + "; only an anchor from Slack shows that it was not all written anew: --anchor SEQ:HASH"
}
