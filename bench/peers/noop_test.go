package peers

import "testing"

// noop empties a filled queue of tasks that only count themselves.
func noop(b *testing.B, s *site) {
	peers := []peer{celery("prefork"), celery("threads"), celery("solo"), asynqPeer(), machineryPeer(), riverPeer(), lovage(), bare()}
	for _, results := range []bool{false, true} {
		title := "Tasks a second, results ignored"
		if results {
			title, peers = "Tasks a second, results stored", peers[:len(peers)-1]
		}
		rates := make([][]float64, len(peers))
		for range s.rounds {
			for i, p := range peers {
				s.on(b, p, options{results: results, tasks: p.tasks}, func(st *stage) {
					p.fill(st, "bench.count", p.tasks)
					st.start()
					rates[i] = append(rates[i], float64(p.tasks)/st.measure(p.tasks).Seconds())
					s.report.progress("%s: %s %.0f", title, p.name, rates[i][len(rates[i])-1])
				})
			}
		}
		t := s.report.table(title, "The tasks only count themselves: this is the workers' own cost.", "peer", "tasks/s", "rounds", "Lovage is")
		t.unit = "tasks/s"
		ours := 0.0
		for i, p := range peers {
			if p.name == "Lovage" {
				ours = median(rates[i])
			}
		}
		for i, p := range peers {
			t.row(p.name, median(rates[i]), thousands(median(rates[i])), list(rates[i], thousands), times(ours/median(rates[i])))
		}
	}
}
