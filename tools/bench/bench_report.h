// How advface-bench measures, and what it says of a row: a table, comma-separated values or JSON.
#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace advf::cpu {
struct KernelTable;
}

namespace advf::tools {

double seconds_of(const std::function<void()>& body);

struct Timing {
  double median = 0, min = 0;  // seconds
  int n = 0;
  static Timing of(std::vector<double> seconds);
};
// Calls to warm up, then `repeat` measurements, each of them at least a millisecond's worth of calls.
Timing measure(int repeat, const std::function<void()>& body);

// What the machine can do, measured in this run on all threads. Of a device: its largest product, and its
// copy.
struct Machine {
  double peak_flops = 0;        // multiply-adds that touch no memory; 0 without fast kernels
  double copy_bytes_per_s = 0;  // read and written, of far more than the caches hold
};
Machine measure_machine(int repeat);
// Of the CPU's products: those of bf16 where the current backend's plans have them.
const cpu::KernelTable* product_kernels();
double peak_flops_now();  // one measurement, some milliseconds
// Of a device the peak is that of a product of square matrices of this side, so large that rounding an
// operand to bf16 first is a few percent; a quarter of such a matrix is copied. Before the first measurement.
constexpr int64_t kDeviceProbeSide = 16384;
void set_device_probe_side(int64_t side);

// Of one run: operations of convolutions and matrix products, and bytes that have to pass.
struct Cost {
  double flops = 0, bytes = 0;
};

struct BenchRow {
  std::string group, name;  // "facenet", "conv 3x160x160 -> 32 k3x3 s2"
  Timing time;
  Cost cost;
  // Of workloads: what one run gets done, e.g. 32 "images". Their rates are those of the median run, the
  // rates of single ops those of the fastest.
  double units = 0;
  std::string unit = {};
  // The peak as it was between the runs, where it was measured then: a neighbour on the machine takes from
  // both.
  double peak_flops = 0;
};

class Report {
 public:
  Report(const Machine& machine, std::string filter, bool csv);
  bool steps = false;  // below a workload that runs a plan, what each step of it takes

  // Whether the user asked for it.
  bool wanted(const std::string& group, const std::string& name) const;
  // A row with units is a workload's. Returns its JSON, for further keys; valid until the next row.
  nlohmann::json& add(const BenchRow& row);
  // A line below a workload's rows: the two times that it could not be faster than.
  void floors(const BenchRow& row) const;
  // A line of text below a row; on stderr where stdout is for programs.
  void say(const std::string& text) const;

  const nlohmann::json& ops() const { return ops_; }
  const nlohmann::json& workloads() const { return workloads_; }

 private:
  double peak_of(const BenchRow& row) const;
  Machine machine_;
  std::string filter_;
  bool csv_, workload_title_ = false, op_title_ = false;
  nlohmann::json ops_ = nlohmann::json::array(), workloads_ = nlohmann::json::array();
};

}  // namespace advf::tools
