package slackbot

import (
	"errors"
	"io"
	"log" //nolint:depguard // the Slack library takes no other logger; this one writes nowhere
	"net/http"
	"strings"
	"sync/atomic"
)

// silent returns the logger for the Slack library: it writes nowhere. The
// library logs raw frames in some cases, and a frame can hold a typed secret.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// openPath is what is asked for a socket.
const openPath = "/apps.connections.open"

// errOver is the answer to a library that wants to go on with a socket of its
// own choice.
var errOver = errors.New("this socket is over")

// A single transport lets one request for a socket through. The library opens
// the next socket by itself within a millisecond, a thousand times a second
// where every socket ends at once, and sends answers of the old socket on the
// new one. So it gets one socket per client: when it asks for another, the
// first one is over, and over is called.
type single struct {
	next  http.RoundTripper
	over  func()
	asked atomic.Bool
}

// RoundTrip implements [http.RoundTripper].
func (s *single) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, openPath) && s.asked.Swap(true) {
		s.over()
		return nil, errOver
	}
	return s.next.RoundTrip(r)
}
