package modals

import (
	"slices"

	"github.com/slack-go/slack"

	"github.com/raxx-app/keyturn/internal/rotation"
)

// Validate returns the view of step 3, the probe of the new pair (R35–R39). Of
// the account it shows status, number and buying power and nothing else (R38);
// the number is whole, because the operator compares it with the dashboard.
func Validate(o rotation.Overview) slack.ModalViewRequest {
	p, s := stepPage(o, rotation.StepValidate)
	c := candidate(o.Rotation)
	p.text(sealed(c))
	p.fields(validated(c))
	shown := *s
	shown.Facts = slices.DeleteFunc(slices.Clone(s.Facts), func(f rotation.Fact) bool {
		return f.Name != "new_pair" && f.Name != "old_pair" // R38: nothing else of the account
	})
	p.body(o, &shown)
	return view(o, ValidateCallback, p)
}

// validated is what is shown of the account that a new pair works for: status,
// number and buying power, and nothing else (R38).
func validated(c rotation.Candidate) []rotation.Fact {
	return []rotation.Fact{
		{Label: "Status", Value: c.Account.Status},
		{Label: "Account number", Value: c.Account.Number},
		{Label: "Buying power", Value: c.Account.BuyingPower},
	}
}

// Sealed returns the small view that answers the submission of a pair. It is
// fixed but for the pair's last four characters, has no inputs, and stays far
// below the 20 kB at which Slack loses an answer.
func Sealed(o rotation.Overview) slack.ModalViewRequest {
	p := &page{}
	p.header(stepTitle(3, rotation.Text(rotation.StepValidate).Title))
	p.text(sealed(candidate(o.Rotation)))
	p.small("The pair is saved, encrypted. From here the bot goes on by itself; this window follows.")
	return view(o, ValidateCallback, p)
}

// sealed says that a pair is safe.
func sealed(c rotation.Candidate) string {
	if c.Last4 == "" {
		return "*✔ sealed*"
	}
	return "*✔ sealed ····" + escape(clean(c.Last4), 8) + "*"
}

// candidate returns the pair that the rotation goes on with: the chosen one,
// or else the last that was pasted.
func candidate(r rotation.Rotation) rotation.Candidate {
	for _, c := range r.Candidates {
		if c.N == r.Chosen {
			return c
		}
	}
	if n := len(r.Candidates); n > 0 {
		return r.Candidates[n-1]
	}
	return rotation.Candidate{}
}
