package sandbox

import (
	"fmt"
	"net/http"

	"github.com/raxx-app/keyturn/internal/sim/simhttp"
	"github.com/raxx-app/keyturn/internal/sim/webhooksim"
)

// webhookFaults are about services of our own.
func webhookFaults() []Fault {
	return []Fault{
		{
			Name: "webhook-rejects-signature", What: "Somebody changes the secret at a webhook's receiver after the click: it refuses the bot's signature until it has the right one again and Retry is pressed.",
			Act: func(s *Scene) error {
				if err := s.generated(); err != nil {
					return err
				}
				s.Backtest.SetOptions(webhooksim.Options{RejectsSignature: true})
				s.Say(pairHook + " has another secret for signatures now")
				return s.mendedAfter("refused the bot's signature", pairHook+" has the right secret again", func() { s.Backtest.SetOptions(webhooksim.Options{}) }, pairHook)
			},
			Also: takenOnce,
		},
		{
			Name: "webhook-500", What: "A webhook's receiver fails three times with error 500: the bot asks whether it has the pair, and sends it again by itself.",
			Act: func(s *Scene) error {
				return s.rotateWith(func() error {
					s.Backtest.Inject(simhttp.Fault{Status: http.StatusInternalServerError, Times: 3})
					s.Say(pairHook + " will fail three times")
					return nil
				})
			},
			Also: func(s *Scene, r Report) []Check {
				return append(takenOnce(s, r), hit(pairHook+" answered 500", s.Backtest, http.MethodPost, http.StatusInternalServerError, 3))
			},
		},
		{
			Name: "webhook-lost-reply", What: "A webhook's receiver takes the pair but its answer is lost: the bot asks before it would repeat, and sends nothing twice.",
			Act: func(s *Scene) error {
				return s.rotateWith(func() error {
					s.Backtest.Inject(simhttp.Fault{LoseReply: true, Times: 1})
					s.Say("the next answer of " + pairHook + " will be lost")
					return nil
				})
			},
			Also: func(s *Scene, r Report) []Check {
				return append(takenOnce(s, r), hit("an answer of "+pairHook+" was lost", s.Backtest, http.MethodPost, 0, 1))
			},
		},
	}
}

// takenOnce looks whether the receiver took the pair once, and was not sent it
// again after that.
func takenOnce(s *Scene, _ Report) []Check {
	n := 0
	for _, e := range s.Backtest.Events() {
		if e.Type == "rotated" {
			n++
		}
	}
	c := Check{Name: pairHook + " was handed the pair once"}
	if n != 1 {
		c.Err = fmt.Errorf("%d times", n)
	}
	return []Check{c}
}
