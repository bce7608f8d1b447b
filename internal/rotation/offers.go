package rotation

import "slices"

// An Offer is an act that the engine would do now; the engine decides again when
// it is asked for.
type Offer struct {
	What  string // PressRetry and so on
	Step  StepName
	Round int    // of the step
	Item  string // check, consumer or test order; with PressUseFor the key set
}

// Offers returns what people can do about an open rotation's trouble (3.4 of the
// design), in the order in which it should be shown: what helps with just the
// problem comes first. Cancel, taking over and step 2's paste are not among it.
func (o Overview) Offers() []Offer {
	r := &o.Rotation
	if r.Outcome != Open || len(r.Steps) == 0 {
		return nil
	}
	var list []Offer
	for i := range r.Steps {
		s := &r.Steps[i]
		offer := func(what, item string) {
			list = append(list, Offer{What: what, Step: s.Name, Round: s.Round, Item: item})
		}
		for _, it := range s.Items {
			if it.State == Failed {
				offer(PressRetry, it.Name)
			}
			if MayAccept(s, it) {
				offer(PressAccept, it.Name)
			}
		}
		if s.State == Failed {
			offer(PressRetry, "")
		}
		for _, what := range o.Special(s) {
			offer(what, "")
		}
		if s.Name == StepValidate && o.Other != nil {
			offer(PressUseFor, o.Other.KeySet)
		}
	}
	if s := r.Current(); s.State == Failed || s.failed() {
		for _, what := range o.Forward(s) {
			list = append(list, Offer{What: what, Step: s.Name, Round: s.Round})
		}
	}
	return list
}

// failed reports whether an item of the step is.
func (s *Step) failed() bool {
	return slices.ContainsFunc(s.Items, func(it Item) bool { return it.State == Failed })
}

// MayAccept reports whether an item may count as done without proof: a consumer
// or the test order, never the vault or an old pair (R42, R60).
func MayAccept(s *Step, it Item) bool {
	return (s.Name == StepPropagate || s.Name == StepVerify) && it.State == Failed
}

// Special returns the acts that help with just this step's problem: PressAdopt,
// PressStoreAnyway, PressStoreLater.
func (o Overview) Special(s *Step) []string {
	var acts []string
	r := &o.Rotation
	switch s.Name {
	case StepValidate:
		owned := o.Other != nil // by another key set: adopting it would tie the two together
		if s.State == Failed && r.Chosen != 0 && !owned && adoptable(s.Problem.Reason) {
			acts = append(acts, PressAdopt)
		}
		if s.State == Running && s.Problem.Reason == ReasonBlocked && !r.StoreAnyway {
			acts = append(acts, PressStoreAnyway)
		}
	case StepStore:
		if r.MayStoreLater(o.Now) {
			acts = append(acts, PressStoreLater)
		}
	case StepPrecheck, StepGenerate, StepPropagate, StepVerify, StepRevoked, StepRecord:
	}
	return acts
}

// adoptable reports whether a person may say that the new pair's account is the
// right one.
func adoptable(reason string) bool {
	return slices.Contains([]string{ReasonNoBaseline, ReasonReplaced, ReasonOther}, reason)
}

// Forward returns the acts that help with any trouble between the paste and the
// record (R66, R68): PressRedo, PressRegenerate.
func (o Overview) Forward(s *Step) []string {
	r := &o.Rotation
	var acts []string
	if s.Number <= r.Step(StepGenerate).Number || s.Name == StepRecord && s.State != Failed {
		return nil
	}
	if r.Step(StepValidate).State == Done {
		acts = append(acts, PressRedo)
	}
	if len(r.Candidates) > 0 && r.Step(StepGenerate).State == Done {
		acts = append(acts, PressRegenerate)
	}
	return acts
}
