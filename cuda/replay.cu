#include "cuda/replay.h"

#include "cuda/context.h"

namespace advf::cuda {
namespace {

using Graph = Handle<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;

class GraphReplay : public Replay {
 public:
  explicit GraphReplay(GraphExec exec) : exec_(std::move(exec)) {}
  void run(int times) override {
    Context& c = context();
    const std::lock_guard lock(c.mutex);
    for (int i = 0; i < times; ++i)
      check_cuda(cudaGraphLaunch(exec_.get(), c.stream), "launching a plan's graph");
  }

 private:
  GraphExec exec_;
};

}  // namespace

std::unique_ptr<Replay> record_graph(const std::function<void()>& once) {
  Context& c = context();
  const std::lock_guard lock(c.mutex);
  Graph graph;
  check_cuda(cudaStreamBeginCapture(c.stream, cudaStreamCaptureModeThreadLocal), "recording a plan");
  try {
    once();
  } catch (...) {
    cudaStreamEndCapture(c.stream, graph.put());  // the stream must not stay in capture
    cudaGetLastError();
    throw;
  }
  check_cuda(cudaStreamEndCapture(c.stream, graph.put()), "recording a plan");
  GraphExec exec;
  check_cuda(cudaGraphInstantiate(exec.put(), graph.get(), 0), "recording a plan");
  return std::make_unique<GraphReplay>(std::move(exec));
}

}  // namespace advf::cuda
