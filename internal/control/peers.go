package control

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/raxx-app/keyturn/internal/fault"
)

// peers is a listener that hangs up on everybody but the bot's own user and
// root.
type peers struct {
	net.Listener
	log *slog.Logger
}

// Accept implements [net.Listener].
func (p peers) Accept() (net.Conn, error) {
	for {
		conn, err := p.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // net/http looks at what kind it is
		}
		uid, _, err := peerOf(conn)
		if err == nil && (uid == 0 || uid == os.Getuid()) {
			return conn, nil
		}
		if err == nil {
			err = fmt.Errorf("user %d may not", uid)
		}
		p.log.Warn("control connection refused", slog.Any("error", err))
		_ = conn.Close()
	}
}

// reach connects to the bot at path. A pair may be handed to whoever answers, so
// that must be a process of our own user, of root, or of the user whose folder
// the socket is in: a place like /tmp lets anybody wait there for a bot that is
// down.
func reach(ctx context.Context, path string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err //nolint:wrapcheck // send looks at what it is
	}
	uid, _, err := peerOf(conn)
	if err == nil && (uid == 0 || uid == os.Getuid() || uid == ownerOf(filepath.Dir(path))) {
		return conn, nil
	}
	_ = conn.Close()
	if err == nil {
		err = fmt.Errorf("user %d answers", uid)
	}
	return nil, &fault.Error{
		Kind: fault.Denied, Reason: "socket_foreign", Op: "control.Dial", Err: err,
		User: "On " + path + " another user of this machine answers, who is not the bot. Nothing was sent.",
		Fix:  "Find out who that is. Then set state.socket in bot.yml to a folder into which only the bot's user can write.",
	}
}
