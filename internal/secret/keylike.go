package secret

import (
	"regexp"
	"strings"
	"unicode"
)

// keyWord matches what a key is made of: Alpaca's key IDs have 20 or more of
// these characters, its secrets 40.
var keyWord = regexp.MustCompile(`[A-Za-z0-9+/]{16,}`)

// KeyLike reports whether a text that is going to be recorded, such as a reason,
// seems to hold a key: a long run of letters and digits, with capitals among
// them. Ticket numbers, links and commit hashes are none.
func KeyLike(text string) bool {
	for _, word := range keyWord.FindAllString(text, -1) {
		digits := strings.IndexFunc(word, unicode.IsDigit) >= 0
		capitals := 0
		for _, r := range word {
			if unicode.IsUpper(r) {
				capitals++
			}
		}
		if digits && capitals >= 3 {
			return true
		}
	}
	return false
}
