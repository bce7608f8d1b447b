package slackbot

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/modals"
	"github.com/raxx-app/keyturn/internal/rotation"
)

// R82: a pair that is submitted as soon as the inputs are on the screen, before
// the bot has noted that it drew them, is refused under its input: what was typed
// stays. One whose inputs were taken away meanwhile is refused in their place.
func TestRefusedAtOnce(t *testing.T) {
	tests := []struct {
		name string
		then *shownView // what is known once the answer before has been noted
		want slack.ViewResponseAction
	}{
		{"inputs drawn", &shownView{ID: "V1", Drawn: "step 2", Key: "1/false"}, slack.RAErrors},
		{"another step drawn", &shownView{ID: "V1", Drawn: "step 3"}, slack.RAUpdate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
				before := &shownView{ID: "V1", Drawn: "step 1", turn: newTurn()}
				b.views.open["V1"] = before
				release, _ := b.views.hold("V1")
				answered := make(chan any, 1)
				go b.notTaken("V1", modals.GenerateBlocks{KeyID: "k", Secret: "s"}, map[string]string{rotation.FieldSecret: "No."}, nil, func(a any) { answered <- a })
				synctest.Wait() // it waits for the turn
				b.views.mu.Lock()
				tt.then.turn = before.turn
				b.views.open["V1"] = tt.then
				b.views.mu.Unlock()
				release()
				if got, ok := (<-answered).(*slack.ViewSubmissionResponse); !ok || got.ResponseAction != tt.want {
					t.Errorf("answered %+v, want %s", got, tt.want)
				}
			})
		})
	}
}
