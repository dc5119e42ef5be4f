package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// greetingTime is how long a broker may take to accept a connection and to answer on it.
const greetingTime = 10 * time.Second

// greeting is a request for ApiVersions, version 0: the first thing a client says.
//
//	| size 4 | API key 2 | version 2 | correlation id 4 | client id: length 2, bytes |
var greeting = func() []byte {
	const name = "millrace-bench"
	p := binary.BigEndian.AppendUint32(nil, 2+2+4+2+uint32(len(name)))
	p = append(p, 0, 18, 0, 0, 0, 0, 0, 1, 0, byte(len(name)))
	return append(p, name...)
}()

// greet opens a connection and has the broker answer once. The caller closes it.
func greet(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, greetingTime)
	if err != nil {
		return nil, err
	}
	if err := ask(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("ApiVersions of %s: %w", address, err)
	}
	return conn, nil
}

func ask(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(greetingTime)); err != nil {
		return err
	}
	if _, err := conn.Write(greeting); err != nil {
		return err
	}
	var head [10]byte // size, correlation id, error code
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(head[:]))
	if id, code := binary.BigEndian.Uint32(head[4:]), int16(binary.BigEndian.Uint16(head[8:])); id != 1 || code != 0 || size < 6 || size > 1<<20 {
		return fmt.Errorf("an answer of %d bytes with correlation id %d and error code %d, want id 1 and no error", size, id, code)
	}
	if _, err := io.CopyN(io.Discard, conn, size-6); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}
