//go:build !race

package jobs_test

// flapsAtOnce is how many flaps a plain run simulates.
const flapsAtOnce = 10_000
