// An adapter: netpol-analyzer's policy engine behind dropcast's fuzz protocol (docs/fuzz.md). It names pods where dropcast has
// addresses: those of live pods are looked up here, others are given as they are.
//
//	go build -o peer . && dropcast fuzz --against 'bench/peers/netpol-analyzer/peer'
//
// -ipv4 refuses IPv6, which the engine has no notion of, and -numbered rules with a protocol and no port, which it takes for any
// protocol (docs/peers.md), so that what else differs can be found.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/np-guard/netpol-analyzer/pkg/netpol/eval"
)

type flow struct {
	Src      string `json:"src"`
	Dst      string `json:"dst"`
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
}

type request struct {
	ID      int               `json:"id"`
	Type    string            `json:"type"`
	Objects []json.RawMessage `json:"objects"`
	Flows   []flow            `json:"flows"`
	flow
}

type reply struct {
	ID       int      `json:"id"`
	Error    string   `json:"error,omitempty"`
	Verdict  string   `json:"verdict,omitempty"`
	Verdicts []string `json:"verdicts,omitempty"`
}

func main() {
	ipv4 := flag.Bool("ipv4", false, "refuse flows between IPv6 addresses")
	numbered := flag.Bool("numbered", false, "refuse worlds in which a rule names a protocol and no port")
	flag.Parse()
	var known *world
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		answer := reply{}
		if err := json.Unmarshal(line, &asked); err != nil {
			answer.Error = err.Error()
		}
		answer.ID = asked.ID
		switch asked.Type {
		case "world":
			known, err = load(asked.Objects, *numbered)
			if err != nil {
				answer.Error = err.Error()
			}
		case "flow":
			answer.Verdict, err = judge(known, asked.flow, *ipv4)
			if err != nil {
				answer.Error = err.Error()
			}
		case "batch":
			for _, one := range asked.Flows {
				verdict, err := judge(known, one, *ipv4)
				if err != nil {
					answer.Error = err.Error()
					break
				}
				answer.Verdicts = append(answer.Verdicts, verdict)
			}
		}
		if err := out.Encode(answer); err != nil {
			return
		}
	}
}

type world struct {
	engine *eval.PolicyEngine
	names  map[string]string
}

func load(objects []json.RawMessage, numbered bool) (*world, error) {
	loaded := &world{engine: eval.NewPolicyEngine(), names: map[string]string{}}
	hosts := map[string]string{}
	for _, raw := range objects {
		node := &v1.Node{}
		if err := json.Unmarshal(raw, node); err == nil && node.Kind == "Node" && len(node.Status.Addresses) > 0 {
			hosts[node.Name] = node.Status.Addresses[0].Address
		}
	}
	for _, raw := range objects {
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(raw, &kind); err != nil {
			return nil, err
		}
		var err error
		switch kind.Kind {
		case "Pod":
			pod := &v1.Pod{}
			if err := json.Unmarshal(raw, pod); err != nil {
				return nil, err
			}
			isOver := pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
			// What can be no end of a flow by its own address.
			if isOver || pod.Spec.HostNetwork || len(pod.Status.PodIPs) == 0 {
				continue
			}
			if pod.Status.PodIP == "" {
				pod.Status.PodIP = pod.Status.PodIPs[0].IP
			}
			// The engine wants the address of the node, which only its own-node rule asks for.
			pod.Status.HostIP = hosts[pod.Spec.NodeName]
			if pod.Status.HostIP == "" {
				pod.Status.HostIP = "192.0.2.1"
			}
			for _, ip := range pod.Status.PodIPs {
				loaded.names[ip.IP] = pod.Namespace + "/" + pod.Name
			}
			err = loaded.engine.InsertObject(pod)
		case "Namespace":
			namespace := &v1.Namespace{}
			if err := json.Unmarshal(raw, namespace); err != nil {
				return nil, err
			}
			if namespace.Labels == nil {
				namespace.Labels = map[string]string{}
			}
			namespace.Labels[v1.LabelMetadataName] = namespace.Name
			err = loaded.engine.InsertObject(namespace)
		case "NetworkPolicy":
			policy := &networkingv1.NetworkPolicy{}
			if err := json.Unmarshal(raw, policy); err != nil {
				return nil, err
			}
			if numbered && hasPortless(policy) {
				return nil, fmt.Errorf("a rule names a protocol and no port")
			}
			for i := range policy.Spec.Ingress {
				setDefaults(policy.Spec.Ingress[i].Ports)
			}
			for i := range policy.Spec.Egress {
				setDefaults(policy.Spec.Egress[i].Ports)
			}
			err = loaded.engine.InsertObject(policy)
		}
		if err != nil {
			return nil, err
		}
	}
	return loaded, nil
}

func hasPortless(policy *networkingv1.NetworkPolicy) bool {
	var ports []networkingv1.NetworkPolicyPort
	for _, rule := range policy.Spec.Ingress {
		ports = append(ports, rule.Ports...)
	}
	for _, rule := range policy.Spec.Egress {
		ports = append(ports, rule.Ports...)
	}
	for _, port := range ports {
		if port.Port == nil {
			return true
		}
	}
	return false
}

// The API server's default.
func setDefaults(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		if ports[i].Protocol == nil {
			tcp := v1.ProtocolTCP
			ports[i].Protocol = &tcp
		}
	}
}

func judge(known *world, asked flow, ipv4 bool) (verdict string, err error) {
	if known == nil {
		return "", fmt.Errorf("no world yet")
	}
	if ipv4 && strings.Contains(asked.Src, ":") {
		return "undecidable", nil
	}
	// Two addresses from outside are no question that it has an answer to.
	src, isSrcPod := known.names[asked.Src]
	dst, isDstPod := known.names[asked.Dst]
	if !isSrcPod && !isDstPod {
		return "undecidable", nil
	}
	if !isSrcPod {
		src = asked.Src
	}
	if !isDstPod {
		dst = asked.Dst
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	isAllowed, err := known.engine.CheckIfAllowed(src, dst, asked.Protocol, strconv.Itoa(asked.Port))
	if err != nil {
		return "", err
	}
	if isAllowed {
		return "allow", nil
	}
	return "deny", nil
}
