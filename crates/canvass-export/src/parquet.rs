//! Parquet: typed columns in row groups of bounded size, each compressed and written before the next is begun.

use std::{mem, sync::Arc};

use bytes::Bytes;
use canvass_domain::Poll;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::{ParquetError, Result},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::{Type, TypePtr},
};

use crate::{
    limits::{ROW_GROUP_BYTES_MAX, ROW_GROUP_ROWS_MAX},
    row::{COLUMNS, Row, dimension_columns},
    sink::Sink,
};

/// Digits of a weight, six of them after the point.
const WEIGHT_DIGITS: i32 = 18;

/// A file being written.
pub(crate) struct Writer {
    file: SerializedFileWriter<Sink>,
    columns: Vec<Column>,
    rows: usize,
}

impl Writer {
    pub(crate) fn begin(sink: Sink, poll: &Poll) -> Result<Self> {
        let fields = fields(poll)?;
        let columns = fields.iter().map(|field| Column::for_field(field)).collect();
        let schema = Type::group_type_builder("votes").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("canvass".to_owned())
            .build();
        let file = SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { file, columns, rows: 0 })
    }

    /// Adds a vote; writes the row group if it is full.
    pub(crate) fn add(&mut self, row: &Row<'_>) -> Result<()> {
        let mut columns = self.columns.iter_mut();
        let mut next = || columns.next().expect("there is a column for each part of a row");
        next().push_text(Some(&row.vote_id));
        next().push_text(Some(row.poll_id));
        next().push_text(row.option_id);
        next().push_text(row.voter_id.as_deref());
        next().push_number(Some(row.timestamp.microseconds()));
        next().push_text(Some(&row.demographics));
        next().push_text(Some(&row.ballot));
        next().push_number(i64::try_from(row.weight.millionths()).ok());
        next().push_number(row.sequence.and_then(|sequence| i64::try_from(sequence).ok()));
        row.answers.iter().for_each(|answer| next().push_text(*answer));
        self.rows += 1;
        let bytes: usize = self.columns.iter().map(Column::bytes).sum();
        if self.rows >= ROW_GROUP_ROWS_MAX || bytes >= ROW_GROUP_BYTES_MAX {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is left and the footer.
    pub(crate) fn end(mut self) -> Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.file.close().map(|_| ())
    }

    fn write_group(&mut self) -> Result<()> {
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let mut writer = group
                .next_column()?
                .ok_or_else(|| ParquetError::General("the schema has fewer columns than a row".to_owned()))?;
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

fn fields(poll: &Poll) -> Result<Vec<TypePtr>> {
    let own = COLUMNS.into_iter().chain(["sequence"]).map(|name| match name {
        "timestamp" => number(name, LogicalType::timestamp(true, TimeUnit::MICROS), Repetition::REQUIRED),
        "weight" => number(name, LogicalType::decimal(6, WEIGHT_DIGITS), Repetition::REQUIRED),
        "sequence" => number(name, LogicalType::integer(64, true), Repetition::OPTIONAL),
        "optionId" | "voterId" => text(name, Repetition::OPTIONAL),
        name => text(name, Repetition::REQUIRED),
    });
    own.chain(dimension_columns(poll).map(|name| text(&name, Repetition::OPTIONAL))).collect()
}

fn text(name: &str, repetition: Repetition) -> Result<TypePtr> {
    let field = Type::primitive_type_builder(name, Physical::BYTE_ARRAY);
    field.with_logical_type(Some(LogicalType::String)).with_repetition(repetition).build().map(Arc::new)
}

fn number(name: &str, logical: LogicalType, repetition: Repetition) -> Result<TypePtr> {
    let mut field = Type::primitive_type_builder(name, Physical::INT64);
    if let LogicalType::Decimal(decimal) = &logical {
        field = field.with_scale(decimal.scale).with_precision(decimal.precision);
    }
    field.with_logical_type(Some(logical)).with_repetition(repetition).build().map(Arc::new)
}

/// The values of one column since the last row group.
struct Column {
    /// For each row whether there is a value, as Parquet's definition levels; none where every row must have one.
    levels: Option<Vec<i16>>,
    values: Values,
}

enum Values {
    /// All texts one after another, and where each ends.
    Texts {
        text: Vec<u8>,
        ends: Vec<usize>,
    },
    Numbers(Vec<i64>),
}

impl Column {
    fn for_field(field: &Type) -> Self {
        let is_optional = field.get_basic_info().repetition() == Repetition::OPTIONAL;
        let values = match field.get_physical_type() {
            Physical::INT64 => Values::Numbers(Vec::new()),
            _ => Values::Texts { text: Vec::new(), ends: Vec::new() },
        };
        Self { levels: is_optional.then(Vec::new), values }
    }

    fn push_text(&mut self, value: Option<&str>) {
        if let Some(levels) = &mut self.levels {
            levels.push(i16::from(value.is_some()));
        }
        if let (Values::Texts { text, ends }, Some(value)) = (&mut self.values, value) {
            text.extend_from_slice(value.as_bytes());
            ends.push(text.len());
        }
    }

    fn push_number(&mut self, value: Option<i64>) {
        if let Some(levels) = &mut self.levels {
            levels.push(i16::from(value.is_some()));
        }
        if let Values::Numbers(numbers) = &mut self.values {
            numbers.extend(value);
        }
    }

    fn bytes(&self) -> usize {
        match &self.values {
            Values::Texts { text, ends } => text.len() + ends.len() * size_of::<usize>(),
            Values::Numbers(numbers) => numbers.len() * size_of::<i64>(),
        }
    }

    /// Writes the values and forgets them.
    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<()> {
        let levels = self.levels.as_mut().map(mem::take);
        match (writer, &mut self.values) {
            (ColumnWriter::ByteArrayColumnWriter(writer), Values::Texts { text, ends }) => {
                let all = Bytes::from(mem::take(text));
                let starts = [0].into_iter().chain(ends.iter().copied());
                let values: Vec<ByteArray> =
                    starts.zip(ends.iter()).map(|(start, end)| all.slice(start..*end).into()).collect();
                ends.clear();
                writer.write_batch(&values, levels.as_deref(), None)?;
            }
            (ColumnWriter::Int64ColumnWriter(writer), Values::Numbers(numbers)) => {
                writer.write_batch(numbers, levels.as_deref(), None)?;
                numbers.clear();
            }
            _ => return Err(ParquetError::General("a column has another type than its schema".to_owned())),
        }
        Ok(())
    }
}
