package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
)

const (
	areaBot     = "bot"
	areaMachine = "machine"
)

// How far off a clock may be. A webhook's signature is refused after five
// minutes, and times in the record are evidence.
const (
	clockWarn = 10 * time.Second
	clockFail = time.Minute
)

// Free space on the state's disk, in bytes: the file, its copy for a backup, and
// some air.
const (
	spaceFail = 32 << 20
	spaceWarn = 256 << 20
)

// expirySoon is when an end that comes is worth a word.
const expirySoon = 14 * 24 * time.Hour

// soon reports whether a calendar day is less than 14 days away.
func (e *examination) soon(day string) bool {
	at, err := time.Parse(time.DateOnly, day)
	return err == nil && at.Sub(e.Now()) < expirySoon
}

// running asks the bot that holds the state, if there is one, for what only it
// can know.
func (e *examination) running(ctx context.Context) []Finding {
	const name = "running bot"
	bot := control.Dial(e.Config.State.Socket)
	defer bot.Close()
	about, err := bot.About(ctx)
	switch {
	case errors.Is(err, control.ErrNobody):
		return []Finding{fine(areaBot, name, "none on this machine; everything was tried from here")}
	case err != nil:
		return []Finding{bad(areaBot, name, err)}
	case !about.Connected:
		return []Finding{broken(areaBot, name, "no_socket", fmt.Sprintf("A bot runs (pid %d), but it has no Slack socket: nobody can reach it.", about.PID),
			"Look at the other findings about Slack, and at the bot's log; it tries again by itself.")}
	}
	found := []Finding{fine(areaBot, name, fmt.Sprintf("runs as pid %d and is connected to Slack", about.PID))}
	health, err := bot.Health(ctx)
	if err != nil {
		return found // an older bot does not say
	}
	for _, part := range health.Parts {
		text := part.Detail
		if !part.Last.IsZero() {
			text = strings.TrimPrefix(text+"; last "+part.Last.UTC().Format("2006-01-02 15:04:05 UTC"), "; ")
		}
		if part.OK {
			found = append(found, fine(areaBot, part.Name, cmp.Or(text, "goes on")))
			continue
		}
		found = append(found, broken(areaBot, part.Name, "part_stalled", cmp.Or(text, "it does not do its work")+".", cmp.Or(part.Fix, "Look at the bot's log.")))
	}
	return found
}

// listen tries the address of the health checks, unless a bot has it already.
func (e *examination) listen(ctx context.Context) []Finding {
	const name = "http.listen"
	addr := e.Config.HTTP.Listen
	if addr == "" {
		return []Finding{warned(areaMachine, name, "health_off", "Health checks and metrics are switched off.", "Set http.listen to 127.0.0.1:9464 in bot.yml, so that somebody notices when the bot is gone.")}
	}
	bot := control.Dial(e.Config.State.Socket)
	defer bot.Close()
	if _, err := bot.About(ctx); err == nil {
		return []Finding{fine(areaMachine, name, "in use by the running bot")}
	}
	h := health{}
	if err := h.listen(ctx, addr); err != nil {
		return []Finding{bad(areaMachine, name, err)}
	}
	if err := h.ln.Close(); err != nil {
		return []Finding{bad(areaMachine, name, err)}
	}
	return []Finding{fine(areaMachine, name, "free")}
}

// settings looks who else can change the settings: whoever can says where secrets
// are sent, and who is ops. Nothing is said if nobody can.
func (e *examination) settings(context.Context) []Finding {
	info, err := os.Stat(e.Config.File)
	if e.Config.File == "" || err != nil || info.Mode().Perm()&0o022 == 0 {
		return nil
	}
	say, who := broken, "Every user of this machine"
	if info.Mode().Perm()&0o002 == 0 { // many systems give each user a group of their own
		say, who = warned, "Every member of its group"
	}
	return []Finding{say(areaMachine, "settings", "settings_writable",
		fmt.Sprintf("%s can change %s (mode %04o), and so say where secrets are sent and who may rotate.", who, e.Config.File, info.Mode().Perm()),
		"Look whether somebody has, then run: chmod go-w "+e.Config.File+".")}
}

// disk looks whether the state can be written and grow.
func (e *examination) disk(context.Context) []Finding {
	const name = "disk"
	dir := filepath.Dir(e.Config.State.Path)
	at, free, err := e.Room(dir)
	switch {
	case err != nil:
		return []Finding{broken(areaState, name, "dir_unwritable", "The bot cannot write into "+at+", where its state belongs.",
			"Make that directory, owned by the user the bot runs as, or set state.path in bot.yml to one that is.")}
	case free < spaceFail:
		return []Finding{broken(areaState, name, "disk_full", fmt.Sprintf("Only %d MB are free in %s.", free>>20, at), "Make room: a full disk stops every rotation.")}
	case free < spaceWarn:
		return []Finding{warned(areaState, name, "disk_low", fmt.Sprintf("Only %d MB are free in %s.", free>>20, at), "Make room before it is full.")}
	}
	return []Finding{fine(areaState, name, fmt.Sprintf("%s can be written, %d MB free", at, free>>20))}
}

// night warns where nobody would wake up.
func (e *examination) night(context.Context) []Finding {
	const name = "pagerduty"
	switch key := e.Config.Tokens.PagerDutyRouting; {
	case key.Empty():
		return []Finding{warned(areaPeople, name, "no_pager", "PAGERDUTY_ROUTING_KEY is not set: a key that dies at night is told in Slack only, and wakes nobody.",
			"Make an Events API v2 integration in PagerDuty and set PAGERDUTY_ROUTING_KEY to its routing key.")}
	case key.Len() != 32: // docs: support.pagerduty.com, "Integration Key (32-character)"
		return []Finding{broken(areaPeople, name, "pager_key_odd", "PAGERDUTY_ROUTING_KEY does not have the 32 characters of a routing key.",
			"Copy the integration key of an Events API v2 integration in PagerDuty.")}
	}
	return []Finding{fine(areaPeople, name, "a routing key is set; only an event proves that it is taken")}
}

// dates notes what services say the time is.
type dates struct {
	now  func() time.Time
	mu   sync.Mutex
	offs map[string]time.Duration // service → its clock less ours, of its last answer
}

// wrap returns a hook that notes the Date of every answer.
func (d *dates) wrap(more func(string, http.RoundTripper) http.RoundTripper) func(string, http.RoundTripper) http.RoundTripper {
	return func(service string, rt http.RoundTripper) http.RoundTripper {
		if more != nil {
			rt = more(service, rt)
		}
		return dated{d, service, rt}
	}
}

// note keeps one answer's Date, which has whole seconds.
func (d *dates) note(service, date string) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.offs == nil {
		d.offs = map[string]time.Duration{}
	}
	d.offs[service] = at.Add(500 * time.Millisecond).Sub(d.now())
}

type dated struct {
	dates   *dates
	service string
	next    http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(r)
	if err == nil {
		d.dates.note(d.service, resp.Header.Get("Date"))
	}
	return resp, err
}

// clock compares this machine's clock with those of the services: the middle one
// counts, so that one wrong clock elsewhere says nothing.
func (e *examination) clock() []Finding {
	const name = "clock"
	var offs []time.Duration
	for service, off := range e.dates.offs {
		if service != serviceWebhook && service != serviceDownstream { // one's own machines
			offs = append(offs, off)
		}
	}
	if len(offs) == 0 {
		return []Finding{warned(areaMachine, name, "clock_unknown", "No service told the time.", "Mend the other findings first, then run bot doctor again.")}
	}
	slices.Sort(offs)
	off := offs[len(offs)/2]
	fix := "Have this machine's clock set by NTP (timedatectl set-ntp true)."
	text := "This machine's clock is " + off.Abs().Round(time.Second).String() + " " + map[bool]string{true: "behind", false: "ahead"}[off > 0] + "."
	switch {
	case off.Abs() >= clockFail:
		return []Finding{broken(areaMachine, name, "clock_skew", text, fix)}
	case off.Abs() >= clockWarn:
		return []Finding{warned(areaMachine, name, "clock_skew", text, fix)}
	}
	return []Finding{fine(areaMachine, name, fmt.Sprintf("as %d services have it", len(offs)))}
}
