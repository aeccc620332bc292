// franz-go against a cluster of the tests: writes COUNT records with its idempotent producer, reads them as two members of a group, commits one
// transaction and aborts another, and prints what it saw: foreign SERVERS TOPIC COUNT
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client(options ...kgo.Opt) *kgo.Client {
	servers := strings.Split(os.Args[1], ",")
	c, err := kgo.NewClient(append(options, kgo.SeedBrokers(servers...), kgo.DefaultProduceTopic(os.Args[2]))...)
	must(err)
	return c
}

// Reads until `count` different values came, both members by turns, so that each takes part in the rebalance.
func read(ctx context.Context, count int, members ...*kgo.Client) (int, []int) {
	seen, each := map[string]bool{}, make([]int, len(members))
	for len(seen) < count {
		must(ctx.Err())
		for i, member := range members {
			short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			fetches := member.PollFetches(short)
			cancel()
			fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true; each[i]++ })
			must(member.CommitUncommittedOffsets(ctx))
		}
	}
	return len(seen), each
}

func main() {
	count, err := strconv.Atoi(os.Args[3])
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	group := func() *kgo.Client {
		return client(kgo.ConsumerGroup("franz"), kgo.ConsumeTopics(os.Args[2]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.DisableAutoCommit(), kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	one, two := group(), group()
	producer := client(kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	for i := 0; i < count; i++ {
		producer.Produce(ctx, &kgo.Record{Key: []byte(strconv.Itoa(i % 50)), Value: []byte("plain " + strconv.Itoa(i))}, func(_ *kgo.Record, err error) { must(err) })
	}
	must(producer.Flush(ctx))
	producer.Close()
	total, _ := read(ctx, count, one, two)
	fmt.Println("group", total)
	one.Close()

	transactional := client(kgo.TransactionalID("franz"))
	for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		must(transactional.BeginTransaction())
		for i := 0; i < 10; i++ {
			must(transactional.ProduceSync(ctx, &kgo.Record{Value: []byte(fmt.Sprint(commit, " ", i))}).FirstErr())
		}
		must(transactional.EndTransaction(ctx, commit))
	}
	transactional.Close()
	total, _ = read(ctx, 10, two)
	fmt.Println("committed", total)
	two.Close()
}
