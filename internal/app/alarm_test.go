package app_test

import (
	"testing"
	"time"

	"github.com/raxx-app/keyturn/internal/fault"
)

// TestAlarm: when Slack refuses the bot until a person mends it, who is to be
// told is told once. The times of the Slack side are those that were given: by
// the design's it would be found out after 40 s.
func TestAlarm(t *testing.T) {
	b := newSandboxed(t)
	alarms := make(chan error, 10)
	b.opts.Alarm = func(err error) { alarms <- err }
	b.opts.Times.Roster = 10 * time.Millisecond
	stop := b.run(t)
	b.Slack.FailAuth("token_revoked")
	select {
	case err := <-alarms:
		if fault.ReasonOf(err) != "token_revoked" || fault.UserText(err) == "" || fault.FixText(err) == "" {
			t.Errorf("alarm %v (%s), want token_revoked and what to do", err, fault.ReasonOf(err))
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no alarm after 10 s\n%s", b.log)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v after its context ended, want nil", err)
	}
	if len(alarms) > 0 {
		t.Errorf("a second alarm: %v", <-alarms)
	}
}
