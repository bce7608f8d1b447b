// Package rotation is the SOP for rotating the keys of an Alpaca paper account:
// the eight steps in their order, what each of them decides, and the ports to
// the outside that they need. It owns the texts that people read at each step.
//
// There are never two live pairs. Alpaca kills the old one at the moment the
// new one is generated, so everything that can be refused is refused before
// that click, and after it there is only forward.
//
// The package knows nothing of Slack, HTTP or the file that holds the state.
package rotation
