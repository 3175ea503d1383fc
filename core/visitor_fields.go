package core

// visitorField is a field of a visitor that commands may set.
type visitorField struct {
	name  string
	limit int // bytes
}

// visitorFields are in the order in which an error lists them.
var visitorFields = []visitorField{
	{"name", 256}, {"email", 256}, {"phone", 64}, {"campaign", 64}, {"segments", 8192}, {"route", 1024},
	{"page_url", 2048}, {"page_title", 512}, {"referrer", 2048}, {"landing_url", 2048},
	{"language", 64}, {"screen", 64}, {"time_zone", 64}, {"country", 64}, {"user_agent", 1024},
	{"browser", 128}, {"os", 128}, {"device", 128}, {"ip", 64}, {"explain", 65_536},
}

// Bounds of custom variables.
const (
	MaxVars     = 100
	MaxVarName  = 64   // bytes
	MaxVarValue = 1024 // bytes
)
