package control

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/raxx-app/keyturn/internal/commands"
	"github.com/raxx-app/keyturn/internal/fault"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// A Gate decides what a person may do; [commands.Gate] does.
type Gate interface {
	Check(ctx context.Context, by rotation.Actor, act commands.Act, about commands.Subject) error
}

// A Queue keeps a note until it can be delivered; the outbox does.
type Queue interface {
	Queue(ctx context.Context, key, to string, n rotation.Note) error
}

// localPrefix starts the actor ID of a login that stands for no Slack user.
const localPrefix = "local:"

// breakGlass is the audit action of an act that nobody vouches for.
const breakGlass = "secret.rotate.breakglass"

// loginKey is where a request's context has the login of its peer.
type loginKey struct{}

// withLogin notes who is at the other end of a connection.
func withLogin(ctx context.Context, conn net.Conn) context.Context {
	uid, pid, err := peerOf(conn)
	if err != nil {
		return ctx // peers.Accept let nobody in of whom that is not known
	}
	return context.WithValue(ctx, loginKey{}, loginOf(pid, uid))
}

func loginFrom(ctx context.Context) string {
	login, _ := ctx.Value(loginKey{}).(string)
	return cmp.Or(login, "unknown")
}

// Login returns who runs this program, as a running bot would call them. A
// command that has no bot beside it acts under this name.
func Login() string { return loginOf(os.Getpid(), os.Getuid()) }

// unset is the kernel's login uid of what no login began: (uint32)(-1).
const unset = "4294967295"

// loginOf returns the login behind a process: that of its kernel login uid
// (/proc/PID/loginuid, pam_loginuid(8)), which sudo and su leave alone, so that
// no environment variable is believed. What no login began, such as a service or
// a container, goes by its user.
func loginOf(pid, uid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/loginuid")
	if err != nil {
		b = nil // another kernel, or the process is gone
	}
	return userName(cmp.Or(loginUID(b), strconv.Itoa(uid)))
}

// loginUID reads what the kernel says; "" if it says that there was no login.
func loginUID(b []byte) string {
	id := strings.TrimSpace(string(b))
	if _, err := strconv.ParseUint(id, 10, 32); err != nil || id == unset {
		return ""
	}
	return id
}

func userName(uid string) string {
	u, err := user.LookupId(uid)
	if err != nil {
		return "uid-" + uid
	}
	return u.Username
}

// person returns the Slack user that a login stands for, or "".
func (s *Server) person(login string) string {
	if s.cfg.Person == nil {
		return ""
	}
	return s.cfg.Person(login)
}

// admit decides whether the login may do act, and returns as whom. Where nobody
// can vouch for it a reason opens the way, and leaves a row in the record: that
// is written before the act, or there is no act (R89).
func (s *Server) admit(ctx context.Context, act commands.Act, about commands.Subject, reason string) (rotation.Actor, error) {
	login := loginFrom(ctx)
	by := rotation.Actor{ID: s.person(login)}
	if by.ID == "" {
		by.ID, by.Role = localPrefix+login, rotation.ActedBreakGlass
		if reason == "" {
			return by, &fault.Error{
				Kind: fault.Denied, Reason: "reason_needed", Op: "control.act",
				User: "The login " + login + " is not in slack.local_users of bot.yml, so nobody can vouch that it belongs to ops.",
				Fix:  "Give a reason. It goes into the audit record and into the ops channel.",
			}
		}
		return by, s.breakGlass(ctx, by, login, act, about, reason)
	}
	err := s.cfg.Gate.Check(ctx, by, act, about)
	if fault.KindOf(err) == fault.Unknown && ctx.Err() == nil {
		if reason != "" { // Slack does not say; a definite "not a member" stays one
			by.Role = rotation.ActedBreakGlass
			return by, s.breakGlass(ctx, by, login, act, about, reason)
		}
		return by, &fault.Error{
			Kind: fault.Unknown, Reason: fault.ReasonOf(err), Op: "control.act", Err: err, User: fault.UserText(err),
			Fix: "Give a reason to go on without Slack. It goes into the audit record, and into the ops channel when Slack is back.",
		}
	}
	return by, err
}

// breakGlass writes the row, and has the ops channel told. The post follows by
// itself when Slack is back; one per login and rotation is enough.
func (s *Server) breakGlass(ctx context.Context, by rotation.Actor, login string, act commands.Act, about commands.Subject, reason string) error {
	row := rotation.Row{
		At: s.cfg.Now().UTC(), Rotation: about.Rotation, KeySet: about.KeySet, Actor: by.ID, Action: breakGlass,
		Context: map[string]any{"act": string(act), "why": reason, "login": login},
	}
	if s.cfg.Admin != nil {
		if row.Actor = s.cfg.Admin(by.ID); row.Actor != by.ID {
			row.Slack = by.ID
		}
	}
	if err := s.cfg.Acts.Note(ctx, row); err != nil {
		return err
	}
	s.cfg.Log.WarnContext(ctx, "break-glass act", slog.String("login", login), slog.String("act", string(act)),
		slog.String("rotation", string(about.Rotation)), slog.String("keyset", about.KeySet))
	if s.cfg.Queue == nil {
		return nil
	}
	key := rotation.NoticeBreakGlass + "/" + cmp.Or(string(about.Rotation), about.KeySet+"/"+row.At.Format(time.RFC3339)) + "/" + login
	err := s.cfg.Queue.Queue(ctx, key, s.cfg.Channel, rotation.Note{Kind: rotation.NoteBreakGlass, Rotation: about.Rotation, KeySet: about.KeySet, Data: map[string]string{
		rotation.NotePeople: by.ID, rotation.NoteWhat: string(act), rotation.NoteWhy: reason, rotation.NoteSince: row.At.Format(time.RFC3339),
	}})
	if err != nil {
		return err // the store did not take it: the act would not be kept either
	}
	return nil
}
