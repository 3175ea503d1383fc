package server

import (
	"context"

	"github.com/parlorchat/parlor/pipeline"
	"github.com/parlorchat/parlor/pipeline/webhook"
)

// runPipelines makes the member carry events to their consumers while it
// leads. The modules are listed here: nothing registers itself.
func (s *server) runPipelines() {
	webhooks := webhook.New(s.member, s.metrics, s.log)
	runner := pipeline.New(s.member, []pipeline.Module{webhooks}, pipeline.Options{Metrics: s.metrics, Log: s.log})
	s.member.RunAsLeader(func(ctx context.Context) { runner.Run(ctx) })
}
