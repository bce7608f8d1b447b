package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one bad setting. It never holds a value, neither of the
// environment nor of the file: somebody may have pasted a secret there.
type Problem struct {
	File string // the file as it was named to Load; "" if it is a matter of the environment
	Line int    // in File, from 1; 0 if there is none
	Path string // "keysets[0].consumers[2].app", or the variable's name; may be ""
	What string // what is wrong, without a full stop
	Fix  string // what to do about it, without a full stop
}

// String returns the problem as one line.
func (p Problem) String() string {
	where := p.File
	if where == "" {
		where = "environment"
	}
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, p.Line)
	}
	if p.Path != "" {
		where += ": " + p.Path
	}
	return fmt.Sprintf("%s: %s. Fix: %s.", where, p.What, p.Fix)
}

// Problems is every bad setting that was found, sorted by line; those of the
// environment come first. It is never empty when it is an error.
type Problems []Problem

// Error implements error: one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// sort orders by line and keeps the order of discovery within one.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
}

// suggest returns a sentence that names the word of known that is closest to
// got, or all of them if none is close.
func suggest(got string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := editDistance(strings.ToLower(got), k); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q? Write that, or remove it", best)
	}
	return "use one of " + strings.Join(known, ", ") + ", or remove it"
}

// editDistance counts the characters to insert, delete, replace or swap with
// their neighbour. It returns a large number for words too long to be meant.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
