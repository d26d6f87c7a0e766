//! A function of SQL that computes columns of columns.

use std::fmt;
use std::hash::{Hash, Hasher};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::parameters::{Arguments, Parameters};

/// The types that arguments of given types are converted to.
pub(super) type Coerce = fn(&Parameters, &[DataType]) -> Result<Vec<DataType>>;

/// The column that is computed of the arguments.
pub(super) type Compute = fn(&Arguments) -> Result<ArrayRef>;

/// A function by what it takes, what it gives and how that is computed.
pub(super) struct Function {
    signature: Signature,
    parameters: &'static Parameters,
    coerce: Coerce,
    returns: DataType,
    compute: Compute,
}

impl Function {
    /// A function of these parameters.
    pub(super) fn new(parameters: &'static Parameters, coerce: Coerce, returns: DataType, compute: Compute) -> Self {
        Function {
            signature: Signature::user_defined(Volatility::Immutable),
            parameters,
            coerce,
            returns,
            compute,
        }
    }
}

/// Functions of one name are the same.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.parameters.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        (self.coerce)(self.parameters, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = Arguments::new(self.parameters, arguments.args, arguments.number_rows)?;
        Ok(ColumnarValue::Array((self.compute)(&arguments)?))
    }
}
