package modals

import "github.com/raxx-app/keyturn/internal/secret"

// keyLikeProblem is shown under a reason that seems to hold a key.
const keyLikeProblem = "This looks like a key. Reasons go into the channel and the record, where nothing can be taken back: leave it out. If it is a real one, it has passed through Slack: generate a new pair."

// keyLike reports whether a reason seems to hold a key.
func keyLike(text string) bool { return secret.KeyLike(text) }
