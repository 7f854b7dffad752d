package apikey

type carrier struct{}

func newCarriers([]string) ([]carrier, error) { return nil, nil }
