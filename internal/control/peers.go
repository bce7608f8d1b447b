package control

import (
	"fmt"
	"log/slog"
	"net"
	"os"
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
