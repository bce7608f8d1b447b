package rotation

import "context"

// StartFor is [Engine.Start] for a rotation whose reason is known before its
// operator is asked: what they see in step 1 is filled in, and they can change
// it. A rotation that is open already is returned as it is.
func (e *Engine) StartFor(ctx context.Context, by Actor, keyset string, trigger Trigger, reason string) (ID, bool, error) {
	set, err := e.keySet(keyset)
	if err != nil {
		return "", false, err
	}
	return e.open(ctx, set, e.named(by), func(cur *Rotation, _ *change) {
		cur.Trigger, cur.Reason = trigger, reason
	})
}
