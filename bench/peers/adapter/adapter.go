// Package adapter puts an evaluator of another project before dropcast: behind its fuzz protocol (docs/fuzz.md), where it is asked line by
// line, or as a contender of bench/limit, where it judges prepared columns pass by pass and prints how long each took.
//
//	peer [FLAGS]                            the protocol, on standard input and output
//	peer [FLAGS] -row FOLDER PASSES SAMPLE  a row of bench/limit
package adapter

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Flow is the first packet of a connection: addresses as text, TCP, UDP or SCTP, and the destination port.
type Flow struct {
	Src      string `json:"src"`
	Dst      string `json:"dst"`
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
}

// The verdicts of the protocol.
const (
	Allow       = "allow"
	Deny        = "deny"
	Undecidable = "undecidable"
)

// Judge gives the verdict of a loaded world.
type Judge func(Flow) (string, error)

// World is what an evaluator is given: objects as the API server holds them, defaults set.
type World struct {
	Namespaces []*v1.Namespace
	Nodes      []*v1.Node
	Pods       []*v1.Pod
	Policies   []*networkingv1.NetworkPolicy
}

// Load makes an evaluator of a world, or says why it cannot.
type Load func(*World) (Judge, error)

var row = flag.String("row", "", "judge the flows of this folder, PASSES times a SAMPLE of them, and print the time of each pass")

// Main reads the flags, and does what they ask for.
func Main(load Load) {
	flag.Parse()
	if *row == "" {
		serve(load)
		return
	}
	if err := runRow(load); err != nil {
		fmt.Fprintln(os.Stderr, "Error: "+err.Error())
		os.Exit(1)
	}
}

// IsOver says whether a pod has ended, and with it its claim to its address.
func IsOver(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

// VerdictOf is the word for what most evaluators answer.
func VerdictOf(isAllowed bool) string {
	if isAllowed {
		return Allow
	}
	return Deny
}

type request struct {
	ID      int               `json:"id"`
	Type    string            `json:"type"`
	Objects []json.RawMessage `json:"objects"`
	Flows   []Flow            `json:"flows"`
	Flow
}

type reply struct {
	ID       int      `json:"id"`
	Error    string   `json:"error,omitempty"`
	Verdict  string   `json:"verdict,omitempty"`
	Verdicts []string `json:"verdicts,omitempty"`
}

func serve(load Load) {
	judge := func(Flow) (string, error) { return "", fmt.Errorf("no world yet") }
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		answer, next := answerTo(line, judge, load)
		judge = next
		if err := out.Encode(answer); err != nil {
			return
		}
	}
}

// The answer to a request, and who judges from then on.
func answerTo(line []byte, judge Judge, load Load) (reply, Judge) {
	var asked request
	err := json.Unmarshal(line, &asked)
	answer := reply{ID: asked.ID}
	if err == nil {
		switch asked.Type {
		case "world":
			var world *World
			if world, err = readWorld(asked.Objects); err == nil {
				var loaded Judge
				if loaded, err = load(world); err == nil {
					judge = loaded
				}
			}
		case "flow":
			answer.Verdict, err = judge(asked.Flow)
		case "batch":
			for _, flow := range asked.Flows {
				var verdict string
				if verdict, err = judge(flow); err != nil {
					break
				}
				answer.Verdicts = append(answer.Verdicts, verdict)
			}
		default:
			err = fmt.Errorf("unknown request %q", asked.Type)
		}
	}
	if err != nil {
		return reply{ID: asked.ID, Error: err.Error()}, judge
	}
	return answer, judge
}

func readWorld(objects []json.RawMessage) (*World, error) {
	world := &World{}
	for _, raw := range objects {
		var kind struct {
			Kind string `json:"kind"`
		}
		err := json.Unmarshal(raw, &kind)
		switch kind.Kind {
		case "Namespace":
			namespace := &v1.Namespace{}
			err = json.Unmarshal(raw, namespace)
			if namespace.Labels == nil {
				namespace.Labels = map[string]string{}
			}
			namespace.Labels[v1.LabelMetadataName] = namespace.Name
			world.Namespaces = append(world.Namespaces, namespace)
		case "Node":
			node := &v1.Node{}
			err = json.Unmarshal(raw, node)
			world.Nodes = append(world.Nodes, node)
		case "Pod":
			pod := &v1.Pod{}
			err = json.Unmarshal(raw, pod)
			if len(pod.Status.PodIPs) > 0 && pod.Status.PodIP == "" {
				pod.Status.PodIP = pod.Status.PodIPs[0].IP
			}
			world.Pods = append(world.Pods, pod)
		case "NetworkPolicy":
			policy := &networkingv1.NetworkPolicy{}
			err = json.Unmarshal(raw, policy)
			for _, rule := range policy.Spec.Ingress {
				setDefaults(rule.Ports)
			}
			for _, rule := range policy.Spec.Egress {
				setDefaults(rule.Ports)
			}
			world.Policies = append(world.Policies, policy)
		}
		if err != nil {
			return nil, err
		}
	}
	return world, nil
}

func setDefaults(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		if ports[i].Protocol == nil {
			tcp := v1.ProtocolTCP
			ports[i].Protocol = &tcp
		}
	}
}

// What bench/limit/job.ts calls a JobResult. The hash is FNV-1a over words, 1 where a flow is allowed.
type result struct {
	Count   int       `json:"count"`
	Seconds []float64 `json:"seconds"`
	First   string    `json:"first"`
}

func runRow(load Load) error {
	passes, err := strconv.Atoi(flag.Arg(0))
	if err != nil {
		return err
	}
	sample, err := strconv.Atoi(flag.Arg(1))
	if err != nil {
		return err
	}
	objects, err := readObjects(filepath.Join(*row, "objects.jsonl"))
	if err != nil {
		return err
	}
	world, err := readWorld(objects)
	if err != nil {
		return err
	}
	judge, err := load(world)
	if err != nil {
		return err
	}
	flows, err := readFlows(*row, sample)
	if err != nil {
		return err
	}
	isAllowed := make([]bool, len(flows))
	done := result{Count: len(flows)}
	for range passes {
		began := processorSeconds()
		for at, flow := range flows {
			verdict, err := judge(flow)
			if err != nil {
				return err
			}
			// What a pod sends to itself never comes to a policy.
			isAllowed[at] = verdict == Allow || flow.Src == flow.Dst
		}
		done.Seconds = append(done.Seconds, processorSeconds()-began)
	}
	hash := uint32(0x811c9dc5)
	for _, allowed := range isAllowed {
		if allowed {
			hash ^= 1
		}
		hash *= 0x01000193
	}
	done.First = fmt.Sprintf("%08x", hash)
	return json.NewEncoder(os.Stdout).Encode(done)
}

func readObjects(path string) ([]json.RawMessage, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	var objects []json.RawMessage
	for {
		var object json.RawMessage
		if err := decoder.Decode(&object); err == io.EOF {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
}

// The columns src.u32, dst.u32, protocol.u8 and port.i32 of a folder, as far as the sample goes.
func readFlows(folder string, sample int) ([]Flow, error) {
	columns := map[string][]byte{}
	for _, name := range []string{"src.u32", "dst.u32", "protocol.u8", "port.i32"} {
		bytes, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return nil, err
		}
		columns[name] = bytes
	}
	word := func(name string, at int) uint32 { return binary.LittleEndian.Uint32(columns[name][4*at:]) }
	address := func(name string, at int) string {
		var bytes [4]byte
		binary.BigEndian.PutUint32(bytes[:], word(name, at))
		return netip.AddrFrom4(bytes).String()
	}
	protocols := map[byte]string{6: "TCP", 17: "UDP", 132: "SCTP"}
	flows := make([]Flow, min(sample, len(columns["protocol.u8"])))
	for at := range flows {
		protocol := protocols[columns["protocol.u8"][at]]
		flows[at] = Flow{address("src.u32", at), address("dst.u32", at), protocol, int(word("port.i32", at))}
	}
	return flows, nil
}

// The time that this process has had on processors, its collector of garbage included.
func processorSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	seconds := func(time syscall.Timeval) float64 { return float64(time.Sec) + float64(time.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}
