package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/raxx-app/keyturn/internal/control"
	"github.com/raxx-app/keyturn/internal/sandbox/page"
)

// defaultListen is where the page is served if nothing else is said.
const defaultListen = "127.0.0.1:8484"

// errNotLoopback is wrong usage: what the page shows is for nobody else.
var errNotLoopback = errors.New("the page is served on loopback only, such as " + defaultListen)

// A stage is the world with the bot in it and the page in front of it.
type stage struct {
	*World
	bot    *keeper
	record *control.Client
	drill  *drillRun // nil: none
	url    string

	ctx    context.Context //nolint:containedctx // a stage lives until close
	cancel context.CancelFunc
	server *http.Server
	work   sync.WaitGroup
	close1 sync.Once
}

// serve runs the page until ctx ends.
func serve(ctx context.Context, env Env, listen string, s *scenario) int {
	st, err := openStage(ctx, env.Now, listen, s)
	switch {
	case errors.Is(err, errNotLoopback):
		fmt.Fprintf(env.Stderr, "sandbox: --listen %s: %v\n", listen, err)
		return exitUsage
	case errors.Is(err, syscall.EADDRINUSE):
		fmt.Fprintf(env.Stderr, "sandbox: %s is in use. Choose another port: sandbox --listen 127.0.0.1:8485\n", listen)
		return exitFailed
	case err != nil:
		fmt.Fprintln(env.Stderr, "sandbox:", err)
		return exitFailed
	}
	fmt.Fprintf(env.Stdout, "Open %s\n", st.url)
	if s != nil {
		fmt.Fprintf(env.Stdout, "Drill: %s\n", s.Title)
	}
	fmt.Fprintln(env.Stdout, "Everything in it is simulated, on this machine only. Ctrl-C stops it.")
	<-ctx.Done()
	if err := st.close(); err != nil {
		fmt.Fprintln(env.Stderr, "sandbox:", err)
		return exitFailed
	}
	return 0
}

// listenOn opens the page's port.
func listenOn(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errNotLoopback
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
}

// openStage starts everything; s may be nil. Close it after use.
func openStage(ctx context.Context, now func() time.Time, listen string, s *scenario) (st *stage, err error) {
	ln, err := listenOn(ctx, listen)
	if err != nil {
		return nil, err
	}
	st = &stage{url: "http://" + ln.Addr().String()}
	st.ctx, st.cancel = context.WithCancel(context.WithoutCancel(ctx)) // close ends the parts in order
	defer func() {
		if err != nil {
			err = errors.Join(err, ln.Close(), st.close())
		}
	}()
	if st.World, err = NewWorld(now); err != nil {
		return st, err
	}
	st.fillPeople()
	st.sentinel = pageSentinel
	if err := st.writeSettings(""); err != nil {
		return st, err
	}
	if err := st.prepare(s, now); err != nil {
		return st, err
	}
	st.bot = &keeper{w: st.World, ctx: st.ctx}
	st.record = control.Dial(filepath.Join(st.Dir, "keyturn.sock"))
	shown, err := st.page(ln.Addr().String())
	if err != nil {
		return st, err
	}
	if err := st.bot.Start(ctx); err != nil {
		return st, err
	}
	st.server = &http.Server{
		Handler: shown, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return st.ctx },
	}
	st.work.Go(func() { shown.Run(st.ctx) })
	st.work.Go(func() { _ = st.server.Serve(ln) })
	if st.drill != nil {
		st.work.Go(func() { st.drill.run(st.ctx) })
	}
	return st, nil
}

// prepare makes the world ready before the bot starts.
func (st *stage) prepare(s *scenario, now func() time.Time) error {
	limits := quick()
	if s != nil && s.Limits != nil {
		s.Limits(&limits)
	}
	if err := st.bequeath(limits); err != nil {
		return err
	}
	if s == nil {
		return nil
	}
	st.drill = newDrillRun(st, s, now)
	if s.Prepare == nil {
		return nil
	}
	if err := s.Prepare(st.World); err != nil {
		return fmt.Errorf("prepare %s: %w", s.Name, err)
	}
	return nil
}

// page builds what is shown. In a drill nobody sees the switches.
func (st *stage) page(addr string) (*page.Server, error) {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	c := page.Config{
		Addr: addr, Version: version, Team: "Raxx", Command: command, People: st.people(),
		Slack: st.Slack, Alpaca: st.Alpaca, Ours: st.ours, Places: st.places, Alerts: st.alerts, Bot: st.bot, Record: st.record, Clock: st.bot,
	}
	if st.drill != nil {
		c.Drill = st.drill
	} else {
		c.Faults = append(st.switches(), st.bot.botSwitches()...)
	}
	return page.New(c)
}

// close ends the page, the bot and the world, and waits for them. A second close
// does nothing.
func (st *stage) close() (err error) {
	st.close1.Do(func() {
		if st.bot != nil && st.bot.PID() != 0 {
			err = st.bot.Stop()
		}
		st.cancel()
		if st.server != nil {
			err = errors.Join(err, st.server.Close())
		}
		st.work.Wait()
		if st.record != nil {
			st.record.Close()
		}
		if st.World != nil {
			err = errors.Join(err, st.Close())
		}
	})
	return err
}
