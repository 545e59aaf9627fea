// Package decode measures protocol.ParseTask beside what a well-known JSON library would make of the same message. It is a module of its own, so that the
// libraries it compares with are no dependencies of Lovage:
//
//	cd bench/decode && go test -bench . -benchmem
package decode
