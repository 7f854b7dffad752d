package testkit

import (
	"strconv"
	"strings"
)

var redis = &engine{
	name:     "Redis or Valkey",
	variable: "KEYHATCH_REDIS_ADDR",
	packages: "redis-server",
	programs: []string{"redis-server", "valkey-server"},
	user:     "redis",
	ready:    "Ready to accept connections",
	quit:     "KILL",
	dsn:      loopback,
	ping:     pingRedis,
	command:  redisCommand,
}

func redisCommand(program, folder string, port int, settings []string) []string {
	command := []string{program, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		command = append(command, "--"+name, value)
	}
	return command
}
