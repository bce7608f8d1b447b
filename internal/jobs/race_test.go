//go:build race

package jobs_test

// flapsAtOnce is how many flaps a plain run simulates: the detector makes each one
// ten times as dear, and what it looks for shows in a few.
const flapsAtOnce = 1_000
