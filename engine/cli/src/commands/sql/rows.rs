//! Rows in the formats that `sql` writes.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::json::{LineDelimitedWriter, WriterBuilder};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use crate::args::RowFormat;
use crate::exit::CliError;
use crate::table::TextTable;

/// What a table shows in the place of null.
const NULL: &str = "null";

/// Writes the rows of a query.
pub struct RowWriter<W: Write + Send> {
    rows: Rows<Watched<W>>,
    failure: Failure,
}

/// Why the output could not be written, once it could not: the libraries that write the formats keep only the text of it.
type Failure = Arc<Mutex<Option<io::Error>>>;

/// Rows on their way into a format.
enum Rows<W: Write + Send> {
    /// Gathers all rows, because the widths of the columns depend on them.
    Table {
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        output: W,
        width: Option<usize>,
    },
    /// Needs every value on one line of text.
    Csv {
        schema: SchemaRef,
        writer: Box<csv::Writer<BufWriter<W>>>,
    },
    /// One object a line.
    Json {
        schema: SchemaRef,
        writer: Box<LineDelimitedWriter<BufWriter<W>>>,
    },
    /// As it is.
    Parquet(Box<ArrowWriter<BufWriter<W>>>),
}

impl<W: Write + Send> RowWriter<W> {
    /// A writer of rows of this schema; a table's lines are cut to `width`, if there is one.
    pub fn new(format: RowFormat, schema: SchemaRef, output: W, width: Option<usize>) -> Result<Self, CliError> {
        let failure = Failure::default();
        let watched = Watched {
            output,
            failure: Arc::clone(&failure),
        };
        let rows = Rows::new(format, schema, watched, width).map_err(|error| explained(&failure, error))?;
        Ok(Self { rows, failure })
    }

    /// Takes rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        let written = self.rows.write(batch);
        written.map_err(|error| explained(&self.failure, error))
    }

    /// Writes what is left.
    pub fn finish(self) -> Result<(), CliError> {
        let finished = self.rows.finish();
        finished.map_err(|error| explained(&self.failure, error))
    }
}

/// An error of a format's writer, which is that of the output if that failed.
fn explained(failure: &Failure, error: Unwritten) -> CliError {
    match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(cause) => CliError::Output(cause),
        None => CliError::internal(error),
    }
}

/// What the writer of a format says.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// An output that remembers why it could not be written.
struct Watched<W> {
    output: W,
    failure: Failure,
}

impl<W> Watched<W> {
    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            let copy = io::Error::new(error.kind(), error.to_string());
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        })
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.output.flush();
        self.noted(flushed)
    }
}

impl<W: Write + Send> Rows<W> {
    fn new(format: RowFormat, schema: SchemaRef, output: W, width: Option<usize>) -> Result<Self, Unwritten> {
        Ok(match format {
            RowFormat::Table => Rows::Table {
                schema: Texts::Binary.schema(&schema),
                batches: Vec::new(),
                output,
                width,
            },
            RowFormat::Csv => {
                let schema = Texts::BinaryAndNested.schema(&schema);
                let mut writer = csv::WriterBuilder::new()
                    .with_header(true)
                    .build(BufWriter::new(output));
                // the header comes also where there are no rows
                writer.write(&RecordBatch::new_empty(Arc::clone(&schema)))?;
                Rows::Csv {
                    schema,
                    writer: Box::new(writer),
                }
            }
            RowFormat::Json => {
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                let writer = Box::new(builder.build(BufWriter::new(output)));
                Rows::Json {
                    schema: Texts::Binary.schema(&schema),
                    writer,
                }
            }
            RowFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(BufWriter::new(output), schema, Some(properties))?;
                Rows::Parquet(Box::new(writer))
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Unwritten> {
        match self {
            Rows::Table { schema, batches, .. } => batches.push(Texts::Binary.batch(schema, batch)?),
            Rows::Csv { schema, writer } => writer.write(&Texts::BinaryAndNested.batch(schema, batch)?)?,
            Rows::Json { schema, writer } => writer.write(&Texts::Binary.batch(schema, batch)?)?,
            Rows::Parquet(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Unwritten> {
        let flush = |output: BufWriter<W>| output.into_inner().map_err(io::IntoInnerError::into_error)?.flush();
        match self {
            Rows::Table {
                schema,
                batches,
                mut output,
                width,
            } => {
                let mut text = table(&schema, &batches, width)?.join("\n");
                text.push('\n');
                output.write_all(text.as_bytes())?;
                output.flush()?;
            }
            Rows::Csv { writer, .. } => flush(writer.into_inner())?,
            Rows::Json { mut writer, .. } => {
                writer.finish()?;
                flush(writer.into_inner())?;
            }
            Rows::Parquet(writer) => flush(writer.into_inner()?)?,
        }
        Ok(())
    }
}

/// What a format cannot hold, or people cannot read, becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Binary values only.
    Binary,
    /// Binary values, and structs, lists and maps as JSON.
    BinaryAndNested,
}

impl Texts {
    fn takes(self, data_type: &DataType) -> bool {
        is_binary(data_type) || self == Texts::BinaryAndNested && data_type.is_nested()
    }

    fn schema(self, schema: &Schema) -> SchemaRef {
        let fields = schema.fields().iter().map(|field| {
            if self.takes(field.data_type()) {
                Arc::new(Field::new(field.name(), DataType::Utf8, true))
            } else {
                Arc::clone(field)
            }
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn batch(self, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = batch
            .columns()
            .iter()
            .zip(batch.schema_ref().fields())
            .map(|(column, field)| match field.data_type() {
                data_type if is_binary(data_type) => binary_as_text(column),
                data_type if self.takes(data_type) => nested_as_json(column, field),
                _ => Ok(Arc::clone(column)),
            });
        RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<Vec<_>, _>>()?)
    }
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary
    )
}

/// The text that the bytes are, else `\x` and their digits.
fn binary_as_text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let column = cast(column, &DataType::LargeBinary)?;
    let texts = column.as_binary::<i64>().iter().map(|bytes| {
        let bytes = bytes?;
        let digits = || {
            bytes
                .iter()
                .fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
        };
        Some(std::str::from_utf8(bytes).map_or_else(|_| digits(), str::to_owned))
    });
    Ok(Arc::new(texts.collect::<StringArray>()))
}

fn nested_as_json(column: &ArrayRef, field: &Arc<Field>) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.push(None);
            continue;
        }
        let mut text = Vec::new();
        encoder.encode(row, &mut text);
        texts.push(Some(String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(Arc::new(StringArray::from(texts)))
}

fn table(schema: &Schema, batches: &[RecordBatch], width: Option<usize>) -> Result<Vec<String>, ArrowError> {
    let mut table = TextTable::new();
    for field in schema.fields() {
        table = if field.data_type().is_numeric() {
            table.right(field.name())
        } else {
            table.left(field.name())
        };
    }
    let options = FormatOptions::default().with_null(NULL);
    for batch in batches {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let formatters = formatters.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = formatters
                .iter()
                .map(|formatter| formatter.value(row).try_to_string().map(|text| one_line(&text)));
            table.row(cells.collect::<Result<Vec<_>, _>>()?);
        }
    }
    Ok(table.cut(width))
}

/// A text that cannot break the table or move the cursor.
fn one_line(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|letter| {
            if letter.is_control() {
                letter.escape_default().collect()
            } else {
                vec![letter]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Float64Array, StructArray};

    use super::*;

    fn rows() -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a,b"), None, Some("two\nlines")]));
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.1), Some(1.0), None]));
        let inner = Field::new("mean", DataType::Float64, true);
        let nested: ArrayRef = Arc::new(StructArray::from(vec![(Arc::new(inner), Arc::clone(&values))]));
        RecordBatch::try_from_iter_with_nullable([
            ("name", names, true),
            ("value", values, true),
            ("stats", nested, true),
        ])
        .unwrap()
    }

    fn written(format: RowFormat, width: Option<usize>) -> String {
        let mut bytes = Vec::new();
        let mut writer = RowWriter::new(format, rows().schema(), &mut bytes, width).unwrap();
        writer.write(&rows()).unwrap();
        writer.finish().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn csv_is_a_header_and_rows_with_null_as_empty() {
        insta::assert_snapshot!(written(RowFormat::Csv, None), @r#"
        name,value,stats
        "a,b",0.1,"{""mean"":0.1}"
        ,1.0,"{""mean"":1.0}"
        "two
        lines",,"{""mean"":null}"
        "#);
    }

    #[test]
    fn bytes_are_the_text_that_they_are_else_digits() {
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![
            Some(&b"not json"[..]),
            Some(&[0xff, 0x0a][..]),
            None,
        ]));
        let batch = RecordBatch::try_from_iter_with_nullable([("raw", bytes, true)]).unwrap();
        let mut text = Vec::new();
        let mut writer = RowWriter::new(RowFormat::Csv, batch.schema(), &mut text, None).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "raw\nnot json\n\\xff0a\n\"\"\n");
    }

    #[test]
    fn csv_without_rows_has_its_header() {
        let mut bytes = Vec::new();
        RowWriter::new(RowFormat::Csv, rows().schema(), &mut bytes, None)
            .unwrap()
            .finish()
            .unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "name,value,stats\n");
    }

    #[test]
    fn json_is_one_object_a_line_with_every_column() {
        insta::assert_snapshot!(written(RowFormat::Json, None), @r#"
        {"name":"a,b","value":0.1,"stats":{"mean":0.1}}
        {"name":null,"value":1.0,"stats":{"mean":1.0}}
        {"name":"two\nlines","value":null,"stats":{"mean":null}}
        "#);
    }

    #[test]
    fn a_table_aligns_numbers_and_keeps_rows_on_one_line() {
        insta::assert_snapshot!(written(RowFormat::Table, Some(40)), @r"
        name        value  stats
        ──────────  ─────  ────────────
        a,b           0.1  {mean: 0.1}
        null          1.0  {mean: 1.0}
        two\nlines   null  {mean: null}
        ");
    }

    /// Takes so many bytes and then no more.
    struct Closing(usize);

    impl Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let left = self.0.checked_sub(bytes.len());
            self.0 = left.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_had_enough_is_known_in_every_format() {
        let write_all = |format: RowFormat, room: usize| {
            let mut writer = RowWriter::new(format, rows().schema(), Closing(room), None)?;
            for _ in 0..2_000 {
                writer.write(&rows())?;
            }
            writer.finish()
        };
        for format in [RowFormat::Table, RowFormat::Csv, RowFormat::Json, RowFormat::Parquet] {
            for room in [0, 100] {
                match write_all(format, room) {
                    Err(CliError::Output(error)) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
                    other => panic!("{format:?} with room for {room}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn parquet_is_read_back_as_it_was() {
        use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
        let mut bytes = Vec::new();
        let mut writer = RowWriter::new(RowFormat::Parquet, rows().schema(), &mut bytes, None).unwrap();
        writer.write(&rows()).unwrap();
        writer.finish().unwrap();
        let read: Vec<_> = ParquetRecordBatchReader::try_new(bytes::Bytes::from(bytes), 100)
            .unwrap()
            .collect();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].as_ref().unwrap(), &rows());
    }
}
