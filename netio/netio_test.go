package netio

import (
	"bytes"
	"testing"
)

func TestEcho(t *testing.T) {
	s, _ := serve(t, funcs{}, nil)
	c := dial(t, s)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, p := range [][]byte{[]byte("hello"), {}, big, []byte("x")} {
		c.send(p)
		c.expect(p)
	}
	c.send([]byte("a"), big, []byte("b"), nil, big)
	c.expect([]byte("a"), big, []byte("b"), nil, big)
}
