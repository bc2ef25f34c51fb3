// An adapter: kube-network-policies' own evaluator behind dropcast's fuzz protocol (docs/fuzz.md). Informers are filled by hand,
// pods are found by address with the project's own provider, and its engine is asked about one packet at a time.
//
//	go build -o peer . && dropcast fuzz --against 'bench/peers/kube-network-policies/peer'
//
// -live leaves terminated pods out of the world, so that what else differs can be found.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/kube-network-policies/pkg/podinfo"
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
	live := flag.Bool("live", false, "leave terminated pods out of the world")
	flag.Parse()
	klog.SetOutput(os.Stderr)
	var engine *networkpolicy.PolicyEngine
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
			engine, err = load(asked.Objects, *live)
			if err != nil {
				answer.Error = err.Error()
			}
		case "flow":
			answer.Verdict, err = judge(engine, asked.flow)
			if err != nil {
				answer.Error = err.Error()
			}
		case "batch":
			for _, one := range asked.Flows {
				verdict, err := judge(engine, one)
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

func load(objects []json.RawMessage, live bool) (*networkpolicy.PolicyEngine, error) {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	for _, raw := range objects {
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(raw, &kind); err != nil {
			return nil, err
		}
		switch kind.Kind {
		case "Pod":
			pod := &v1.Pod{}
			if err := json.Unmarshal(raw, pod); err != nil {
				return nil, err
			}
			// As the kubelet and the API server do.
			if len(pod.Status.PodIPs) > 0 && pod.Status.PodIP == "" {
				pod.Status.PodIP = pod.Status.PodIPs[0].IP
			}
			isOver := pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
			if live && isOver {
				continue
			}
			_ = pods.Informer().GetIndexer().Add(pod)
		case "Namespace":
			namespace := &v1.Namespace{}
			if err := json.Unmarshal(raw, namespace); err != nil {
				return nil, err
			}
			if namespace.Labels == nil {
				namespace.Labels = map[string]string{}
			}
			namespace.Labels[v1.LabelMetadataName] = namespace.Name
			_ = namespaces.Informer().GetIndexer().Add(namespace)
		case "NetworkPolicy":
			policy := &networkingv1.NetworkPolicy{}
			if err := json.Unmarshal(raw, policy); err != nil {
				return nil, err
			}
			for i := range policy.Spec.Ingress {
				setDefaults(policy.Spec.Ingress[i].Ports)
			}
			for i := range policy.Spec.Egress {
				setDefaults(policy.Spec.Egress[i].Ports)
			}
			_ = policies.Informer().GetIndexer().Add(policy)
		}
	}
	evaluator := networkpolicy.NewStandardNetworkPolicy("", namespaces, pods, policies)
	provider := podinfo.NewInformerProvider(pods, namespaces, nil, nil)
	return networkpolicy.NewPolicyEngine(provider, []api.PolicyEvaluator{evaluator}), nil
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

func judge(engine *networkpolicy.PolicyEngine, asked flow) (string, error) {
	if engine == nil {
		return "", fmt.Errorf("no world yet")
	}
	// What a pod sends to itself never leaves it, and never comes to this dataplane.
	if asked.Src == asked.Dst {
		return "undecidable", nil
	}
	packet := &network.Packet{
		SrcIP:   net.ParseIP(asked.Src),
		DstIP:   net.ParseIP(asked.Dst),
		Proto:   v1.Protocol(asked.Protocol),
		SrcPort: 40000,
		DstPort: asked.Port,
		Family:  v1.IPv4Protocol,
	}
	if packet.SrcIP.To4() == nil {
		packet.Family = v1.IPv6Protocol
	}
	isAllowed, err := engine.EvaluatePacket(context.Background(), packet)
	if err != nil {
		return "", err
	}
	if isAllowed {
		return "allow", nil
	}
	return "deny", nil
}
