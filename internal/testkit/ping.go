package testkit

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"
)

// A ping needs no driver, since it only reads the first bytes of the server's protocol.

// ask sends a request and reads the first n bytes of the reply.
func ask(address, request string, n int) ([]byte, error) {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	reply := make([]byte, n)
	_, err = io.ReadFull(conn, reply)
	return reply, err
}

// pingPostgreSQL begins a session. "R" asks for a password or says that none is needed;
// "E" is an error, such as that the server is starting.
func pingPostgreSQL(dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return err
	}
	reply, err := ask(u.Host, startup(u.User.Username()), 1)
	if err == nil && reply[0] != 'R' {
		err = fmt.Errorf("got %q, want R", reply)
	}
	return err
}

// startup returns the first message of a PostgreSQL session.
func startup(user string) string {
	return withLength("\x00\x03\x00\x00user\x00" + user + "\x00database\x00postgres\x00\x00")
}

// withLength prefixes a message with its length, which includes the length field.
func withLength(message string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(message)+4))) + message
}

// pingMySQL waits for the greeting, whose fifth byte is the protocol's version.
func pingMySQL(dsn string) error {
	reply, err := ask(AddressOf(dsn), "", 5)
	if err == nil && reply[4] != 10 {
		err = fmt.Errorf("got %q, want version 10", reply)
	}
	return err
}

// pingRedis also accepts a server that requires a password.
func pingRedis(address string) error {
	reply, err := ask(address, "PING\r\n", 5)
	if err == nil && string(reply) != "+PONG" && string(reply) != "-NOAU" {
		err = fmt.Errorf("got %q, want +PONG or -NOAUTH", reply)
	}
	return err
}
