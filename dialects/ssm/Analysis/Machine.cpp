//===- Machine.cpp - What the cost model knows of a machine ---------------===//

#include "ssm/Analysis/Machine.h"

#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mlir::ssm;

static const StringRef figureKeys[] = {
#define SSM_MACHINE_FIGURE(NAME, KEY, DEFAULT, WHAT) KEY,
#include "ssm/Analysis/Machine.def"
};

ArrayRef<StringRef> Machine::keys() { return figureKeys; }

bool Machine::set(StringRef key, double value) {
#define SSM_MACHINE_FIGURE(NAME, KEY, DEFAULT, WHAT)                                     \
  if (key == KEY)                                                                        \
    return NAME = value, true;
#include "ssm/Analysis/Machine.def"
  return false;
}

static std::optional<double> getNumber(Attribute attribute) {
  if (auto integer = dyn_cast_or_null<IntegerAttr>(attribute))
    return static_cast<double>(integer.getInt());
  if (auto real = dyn_cast_or_null<FloatAttr>(attribute))
    return real.getValueAsDouble();
  return std::nullopt;
}

Machine Machine::get(Operation *op) {
  Machine machine;
  for (; op; op = op->getParentOp()) {
    auto system = op->getAttrOfType<TargetSystemSpecAttr>(
        DLTIDialect::kTargetSystemDescAttrName);
    if (!system)
      continue;
    auto find = [&](StringRef device) {
      return system.getDeviceSpecForDeviceID(StringAttr::get(op->getContext(), device));
    };
    auto spec = find(gpuDevice);
    if (!spec)
      spec = find(cpuDevice);
    if (!spec)
      continue;
    for (DataLayoutEntryInterface entry : spec->getEntries()) {
      auto key = dyn_cast<StringAttr>(entry.getKey());
      // A specification may say more than the model asks; a figure of 0 or less is none.
      if (std::optional<double> value = getNumber(entry.getValue());
          key && value && *value > 0)
        machine.set(key, *value);
    }
    break;
  }
  return machine;
}

Attribute Machine::toAttribute(MLIRContext *context, StringRef device) const {
  context->loadDialect<DLTIDialect>();
  Builder builder(context);
  SmallVector<DataLayoutEntryInterface> entries;
  auto add = [&](StringRef key, double value) {
    Attribute number = value == static_cast<int64_t>(value)
                           ? Attribute(builder.getI64IntegerAttr(int64_t(value)))
                           : Attribute(builder.getF64FloatAttr(value));
    entries.push_back(DataLayoutEntryAttr::get(builder.getStringAttr(key), number));
  };
#define SSM_MACHINE_FIGURE(NAME, KEY, DEFAULT, WHAT) add(KEY, NAME);
#include "ssm/Analysis/Machine.def"
  auto spec = TargetDeviceSpecAttr::get(context, entries);
  return TargetSystemSpecAttr::get(
      context, {DataLayoutEntryAttr::get(builder.getStringAttr(device), spec)});
}
