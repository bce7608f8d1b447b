package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// forcedKey is the key of the note that pages one person; whoever sends it, it
// goes out once.
func forcedKey(id rotation.ID, to string) string {
	return rotation.NoticePage + "/" + string(id) + "/" + to
}

// tell queues the note to each on-call member who is ops. While it is not known
// who that is it does nothing, and the next scan tries again.
func (p *pages) tell(ctx context.Context, pg page, o rotation.Overview) (page, error) {
	r := onCallOf(p.cfg.People)
	if r.unknown {
		return pg, nil
	}
	var errs []error
	for _, to := range r.to {
		errs = append(errs, p.cfg.Outbox.Queue(ctx, forcedKey(pg.Rotation, to), to, forcedNote(o, pg, r)))
	}
	if err := errors.Join(errs...); err != nil {
		return pg, err
	}
	pg.Told, pg.People = true, slices.Clone(r.to)
	return p.keep(ctx, pg)
}

// isPage reports whether a rotation is one that the bot opened for a dead key
// and that nobody has touched: whoever is told of it is paged.
func isPage(r *rotation.Rotation) bool {
	return r.Operator.ID == rotation.BotActor && r.Trigger == rotation.TriggerReset && len(r.Candidates) == 0 && r.Step(rotation.StepPrecheck).State == rotation.Running
}

// forcedNote is what one of them is told. pg may be empty: what the rotation
// itself knows is enough.
func forcedNote(o rotation.Overview, pg page, rg rung) rotation.Note {
	r := &o.Rotation
	since, lastOK, account := pg.Since, pg.LastOK, pg.Account4
	if since.IsZero() {
		since, lastOK = r.FirstRejected, r.LastOK
	}
	if account == "" {
		account = last4(o.Past.Baseline.Number)
	}
	keyID := pg.Last4
	if keyID == "" {
		keyID = r.OldLast4
	}
	data := map[string]string{
		rotation.NoteRung: rg.name, rotation.NoteSince: stampOr(since), rotation.NoteLastOK: stampOr(lastOK), rotation.NoteOldLast4: keyID,
		rotation.NoteAccount4: account, rotation.NoteSkipped: strings.Join(rg.skipped, " "),
	}
	if pg.Status != 0 {
		data[rotation.NoteStatus] = strconv.Itoa(pg.Status)
	}
	return rotation.Note{Kind: rotation.NoteForced, Rotation: r.ID, KeySet: r.KeySet, Data: present(data)}
}

// aliveMails say that it was a false alarm: to the channel, and to everybody who
// was woken.
func (p *pages) aliveMails(pg page, o rotation.Overview) []mail {
	n := rotation.Note{Kind: rotation.NoteAlive, Rotation: pg.Rotation, KeySet: pg.KeySet, Data: present(map[string]string{
		rotation.NoteSince: stampOr(pg.Since), rotation.NoteLastOK: stampOr(o.Rotation.LastOK), rotation.NoteOldLast4: pg.Last4,
		rotation.NoteAccount4: pg.Account4, rotation.NotePeople: strings.Join(pg.People, " "),
	})}
	var mails []mail
	for _, to := range append([]string{p.cfg.Channel}, pg.People...) {
		mails = append(mails, mail{key: "alive/" + string(pg.Rotation) + "/" + to, to: to, note: n})
	}
	return mails
}

// summaryOf is what a phone shows at 3 a.m.
func summaryOf(pg page) string {
	return fmt.Sprintf("The Alpaca paper key of %s (ending in %s) is dead since %s: trading fails. Open Slack and press Start now.", pg.KeySet, pg.Last4, pg.Since.UTC().Format("15:04 UTC"))
}

func detailsOf(pg page) map[string]string {
	return present(map[string]string{
		"key_set": pg.KeySet, "rotation": string(pg.Rotation), "first_rejected": stampOr(pg.Since), "last_ok": stampOr(pg.LastOK),
		"http_status": strconv.Itoa(pg.Status), "key_id_last4": pg.Last4, "account_last4": pg.Account4,
	})
}

// stampOr is stamp, but "" for never.
func stampOr(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}
