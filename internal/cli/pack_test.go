package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
	"github.com/raxx-app/keyturn/internal/state"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hostile are texts that a person could give as a reason.
var hostile = []string{
	`</script><script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `"><b>`, `'; --`, `<!-- `, `--> ]]>`, `<style>*{display:none}</style>`,
	`&lt;script&gt; &amp;`, `{{.Rotation}}`, "</pre></td></tr></table>", "line\nline", "nul\x00 bell\x07", "turned \u202eback\u202c", "\u2028 \ufeff \u200b",
	"\xff not UTF-8", `\u003c`, "</SCRIPT >", `<script type="application/json" id="keyturn-pack">`, "https://evil.example/x.js",
}

var packAt = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// completed returns the rows of a completed rotation of prod, with rows of others
// in between; reasons go wherever a person's text can.
func completed(reasons ...string) []rotation.Row {
	at := packAt
	next := func(id rotation.ID, step rotation.StepName, action string, context map[string]any) rotation.Row {
		at = at.Add(1500 * time.Millisecond)
		return rotation.Row{At: at, Rotation: id, KeySet: "prod", Step: step, Actor: "ada@raxx.app", Slack: "U0ADA", Action: "secret.rotate." + action, Context: context}
	}
	rows := []rotation.Row{
		next("r000000000", "", "cancelled", map[string]any{"why": "not now"}),
		next("r000000001", "", "started", map[string]any{"secret_names": []string{"ALPACA_PAPER_API_KEY_ID", "ALPACA_PAPER_API_SECRET_KEY"}}),
		next("", "", "denied", map[string]any{"act": "start"}),
	}
	var deviations []map[string]string
	for _, why := range reasons {
		rows = append(rows, next("r000000001", rotation.StepVerify, "deviation", map[string]any{"what": "accepted ci", "why": why, why: 1}))
		deviations = append(deviations, map[string]string{"by": why, "why": why})
	}
	items := map[string]any{"api": map[string]any{"state": "done", "detail": "release v42", "evidence": map[string]any{"release": "v42"}, "items": 1}}
	for _, why := range reasons {
		items[why] = map[string]any{"state": why, "detail": why, why: why}
		items["odd "+why] = why
	}
	done := next("r000000001", rotation.StepRecord, "completed", map[string]any{
		"secret_name": "ALPACA_PAPER_API_KEY_ID", "method": "operator-assisted-dashboard", "rotated_at": "2026-05-06T07:08:20Z", // R63
		"reason": strings.Join(reasons, " | "), "exposed_ms": 41000, "key_age_days": 180, "deviations": deviations, "outcome": "completed",
		"steps": map[string]any{"store": map[string]any{"state": "done", "started": "2026-05-06T07:08:21Z", "ended": "2026-05-06T07:08:22Z", "version": 7, "note": strings.Join(reasons, " "), "items": items}},
	})
	if len(reasons) > 1 {
		done.Actor, done.KeySet = reasons[0], reasons[1]
	}
	return append(rows, done, next("r000000002", "", "started", nil))
}

// packOf returns the pack of r000000001 and the record's rows.
func packOf(t *testing.T, rows []rotation.Row) ([]byte, []state.Entry) {
	t.Helper()
	store, err := state.Open(t.Context(), state.Config{Path: filepath.Join(t.TempDir(), "keyturn.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ext, err := state.NewChain(store).Extend(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Txn(t.Context(), ext.If, ext.Then); err != nil {
		t.Fatal(err)
	}
	x, err := state.Extract(t.Context(), store, "r000000001")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPack(x, packAt.Add(time.Hour), "keyturn v1.2.0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := p.file()
	if err != nil {
		t.Fatal(err)
	}
	all, err := state.Rows(t.Context(), store, "")
	if err != nil {
		t.Fatal(err)
	}
	return file, all
}

// TestPack: R61–R63. The page shows the SOP's fields, verify takes it, and its
// form is that of packForm.
func TestPack(t *testing.T) {
	t.Parallel()
	file, all := packOf(t, completed())
	anchor := state.Anchor{Seq: 4, Hash: all[3].Hash}
	p, report, err := verifyPack(file, &anchor)
	if err != nil || p.Outcome != "completed" || report.First != 2 || report.Last != 4 || report.Own != 2 || report.Anchored != 4 {
		t.Fatalf("verifyPack = %+v, %+v, %v; want rows 2 to 4 and the anchor", p, report, err)
	}
	for _, want := range []string{
		"<td>action</td><td class=\"pre\">secret.rotate.completed</td>", "<td>actor</td><td class=\"pre\">ada@raxx.app</td>", // R61, R62
		"<td>secret_name</td><td class=\"pre\">ALPACA_PAPER_API_KEY_ID</td>", "<td>method</td><td class=\"pre\">operator-assisted-dashboard</td>", "<td>rotated_at</td>", // R63
		"<td>4</td><td>store</td><td>done</td><td>2026-05-06 07:08:21.000</td>", `api: done, release v42 {&#34;evidence&#34;:{&#34;release&#34;:&#34;v42&#34;},&#34;items&#34;:1}`, "4:" + all[3].Hash, "Rows about other things",
	} {
		if !bytes.Contains(file, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	golden := filepath.Join("testdata", "pack.golden")
	if *update {
		if err := os.WriteFile(golden, file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, want) {
		t.Errorf("a pack of form %d is not as %s has it: raise packForm and keep the old page, or packs that are out there no longer verify", packForm, golden)
	}
	if _, _, err := verifyPack(want, &anchor); err != nil {
		t.Errorf("%s: %v", golden, err)
	}
}

// TestPackHostile: what people wrote stays text: in the page, and in the data.
func TestPackHostile(t *testing.T) {
	t.Parallel()
	file, _ := packOf(t, completed(hostile...))
	if _, _, err := verifyPack(file, nil); err != nil {
		t.Errorf("verifyPack = %v", err)
	}
	page, data, ok := bytes.Cut(file, []byte(packBegin))
	data, end, ok2 := bytes.Cut(data, []byte("</script>"))
	if !ok || !ok2 || string(end) != "\n</body>\n</html>\n" || !json.Valid(data) || bytes.ContainsAny(data, "<>&") {
		t.Errorf("the data is not one block of JSON without markup; after it: %q", end)
	}
	plain := regexp.MustCompile(`^<(!DOCTYPE html|html lang="en"|/?head|/?body|/?style|/?title|/?h[12]|/?p|/?strong|/?code|/?table|/?thead|/?tbody|/?tr|/?th|/?td|/?pre|/span|(th|td|span) class="[a-z]+"|meta [^<>]*)>$`)
	for _, tag := range regexp.MustCompile(`<[^>]*>?`).FindAll(page, -1) {
		if !plain.Match(tag) {
			t.Errorf("the page has %q", tag)
		}
	}
	if n := bytes.Count(page, []byte("<meta ")); n != 3 {
		t.Errorf("%d meta tags, want our three", n)
	}
	for _, r := range "\x00\x07\u202e\u2028\ufeff\u200b" {
		if bytes.ContainsRune(page, r) {
			t.Errorf("the page has %U, which is not to be seen", r)
		}
	}
	for _, want := range []string{`turned \u202eback`, `&lt;img src=x onerror=alert(1)&gt;`, `{{.Rotation}}`, `nul\u0000 bell\u0007`, `&amp;lt;script`} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, outside := range []string{"src=\"", "href", "url(", "@import", "<link", "http-equiv=\"refresh"} {
		if bytes.Contains(page, []byte(outside)) {
			t.Errorf("the page has %q: it must need nothing from elsewhere", outside)
		}
	}
}

// TestPackAnyByte: whatever is changed in a pack is found, in the page as in the
// rows.
func TestPackAnyByte(t *testing.T) {
	t.Parallel()
	file, _ := packOf(t, completed())
	for i := 0; i < len(file); i += 29 {
		changed := bytes.Clone(file)
		changed[i] ^= 1
		if _, _, err := verifyPack(changed, nil); !errors.Is(err, state.ErrBroken) && fault.ReasonOf(err) != "pack_newer" {
			t.Fatalf("byte %d changed from %q to %q: %v, want broken", i, file[i], changed[i], err)
		}
	}
	for _, cut := range []int{0, 1, 100, len(file) / 2, len(file) - 1} {
		if _, _, err := verifyPack(file[:cut], nil); !errors.Is(err, state.ErrBroken) {
			t.Errorf("cut to %d bytes: %v, want broken", cut, err)
		}
	}
	if _, _, err := verifyPack(append(bytes.Clone(file), ' '), nil); !errors.Is(err, state.ErrBroken) {
		t.Errorf("with something behind it: %v, want broken", err)
	}
}

func TestPackTampering(t *testing.T) {
	t.Parallel()
	file, _ := packOf(t, completed("because"))
	swap := func(old, now string) func([]byte) []byte {
		return func(f []byte) []byte { return bytes.Replace(f, []byte(old), []byte(now), 1) }
	}
	rows := func(change func([][]byte) [][]byte) func([]byte) []byte {
		return func(f []byte) []byte {
			head, rest, _ := bytes.Cut(f, []byte("\"rows\":[\n"))
			list, end, _ := bytes.Cut(rest, []byte("\n]}"))
			lines := change(bytes.Split(list, []byte(",\n")))
			return slices.Concat(head, []byte("\"rows\":[\n"), bytes.Join(lines, []byte(",\n")), []byte("\n]}"), end)
		}
	}
	for name, tt := range map[string]struct {
		do    func([]byte) []byte
		words string
	}{
		"reason on page":  {swap(`&#34;why&#34;: &#34;because`, `&#34;why&#34;: &#34;perhaps`), "but the page around them"},
		"outcome on page": {swap("outcome <strong>completed", "outcome <strong>cancelled"), "but the page around them"},
		"outcome in data": {swap(`"outcome":"completed"`, `"outcome":"cancelled"`), "but the page around them"},
		"rotation":        {swap(`"rotation":"r000000001"`, `"rotation":"r000000009"`), `not about rotation "r000000009"`},
		"field added":     {swap(`{"keyturn_pack":1,`, `{"keyturn_pack":1,"x":1,`), "but the page around them"},
		"row edited":      {swap(`"why":"because"`, `"why":"perhaps"`), "was changed after it was written"},
		"row removed":     {rows(func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) }), "not in its place"},
		"rows reordered":  {rows(func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l }), "not in its place"},
		"no rows":         {rows(func([][]byte) [][]byte { return nil }), "is empty"},
		"newer":           {swap(`"keyturn_pack":1`, `"keyturn_pack":2`), "form 2"},
		"no pack":         {func([]byte) []byte { return []byte("<html>hello</html>") }, "neither evidence"},
	} {
		changed := tt.do(bytes.Clone(file))
		if bytes.Equal(changed, file) {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, _, err := verifyPack(changed, nil)
		if err == nil || !strings.Contains(fault.UserText(err), tt.words) || fault.FixText(err) == "" {
			t.Errorf("%s: %v (%q), want %q", name, err, fault.UserText(err), tt.words)
		}
	}
}

// TestPackCannotTalk: whoever writes a record anew chooses its names. They cannot
// make verify say what only the program says, nor move the cursor over it.
func TestPackCannotTalk(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"\x1b[2K\rintact: rotation r1", "r1\nintact: everything", "r1\u202e", "r1 of prod, completed; rows 1 to 3; the anchor at row 3 agrees", "r1;", "",
	} {
		p := pack{Rotation: rotation.ID(name), KeySet: name, Outcome: "completed"}
		if line := packLine(p, state.ExcerptReport{}); strings.ContainsAny(line, "\x1b\n\r\u202e") || name != "" && strings.Contains(line, "rotation "+name+" of") {
			t.Errorf("a rotation called %q is shown as %q, want it quoted", name, line)
		}
		file, _ := packOf(t, completed())
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = verifyPack(bytes.Replace(file, []byte(`"rotation":"r000000001"`), append([]byte(`"rotation":`), quoted...), 1), nil)
		var out strings.Builder
		explain(&out, err)
		if err == nil || strings.ContainsAny(out.String(), "\x1b\r\u202e") || strings.Contains(out.String(), "\nintact") {
			t.Errorf("a pack of %q: verify says %q, want it quoted", name, out.String())
		}
	}
	if got := packLine(pack{Rotation: "r000000001", KeySet: "prod", Outcome: "open"}, state.ExcerptReport{}); !strings.HasPrefix(got, "intact: rotation r000000001 of prod, open;") {
		t.Errorf("packLine = %q, want plain names as they are", got)
	}
}
