module github.com/keyhatch/keyhatch/store/sqlitestore

go 1.25.1

require (
	github.com/keyhatch/keyhatch v0.1.0
	modernc.org/sqlite v1.58.0 // the newest for Go 1.25; v1.59.0 and later ask for 1.26
)

require (
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/ncruces/go-strftime v1.0.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	modernc.org/libc v1.75.6 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
)

replace github.com/keyhatch/keyhatch => ../..
