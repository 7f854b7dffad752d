//go:build !unix

package proof_test

func giveWay() {}
