package app

import (
	"net"
	"net/http"
	"time"
)

// Names of the services, as [Hooks.WrapTransport] is called with them.
const (
	serviceSlack      = "slack"
	serviceAlpaca     = "alpaca"
	serviceInfisical  = "infisical" // the calls that its SDK does not make: the writes
	serviceHeroku     = "heroku"
	serviceGitHub     = "github"
	serviceDownstream = "downstream"
	serviceWebhook    = "webhook"
	servicePagerDuty  = "pagerduty"
)

// wires makes one connection pool for each service. Consumers of one kind share
// theirs, so what step 1 has opened serves the calls after the paste.
type wires struct {
	wrap  func(service string, rt http.RoundTripper) http.RoundTripper // may be nil
	pools map[string]*http.Transport
}

func newWires(wrap func(string, http.RoundTripper) http.RoundTripper) *wires {
	return &wires{wrap: wrap, pools: map[string]*http.Transport{}}
}

// to returns the way to a service; the same one each time. It is not for use by
// several goroutines.
func (w *wires) to(service string) http.RoundTripper {
	pool := w.pools[service]
	if pool == nil {
		pool = newPool()
		w.pools[service] = pool
	}
	var rt http.RoundTripper = pool
	if w.wrap != nil {
		rt = w.wrap(service, pool)
	}
	if service == serviceSlack {
		rt = guarded{rt}
	}
	return rt
}

// close lets go of the connections that nobody uses.
func (w *wires) close() {
	for _, pool := range w.pools {
		pool.CloseIdleConnections()
	}
}

// newPool keeps connections for longer than a visit to the dashboard takes, so
// that nothing has to be dialled in the exposed time. Pings find a connection
// that died meanwhile before it is used.
func newPool() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment, // never for loopback
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConnsPerHost: 128, // every consumer at once, where there is no HTTP/2
		IdleConnTimeout:     10 * time.Minute,
	}
}
